"""The README.md of a trained potential."""

import json

import pytest

from data.interface.potential_training.report import write_readme
from data.interface.settings import INTERFACE_SETS


@pytest.mark.parametrize("folder", sorted(INTERFACE_SETS.glob("*/potential")), ids=lambda folder: folder.parent.name)
def test_the_card_of_a_committed_potential_says_what_its_metrics_say(folder, tmp_path):
    metrics, comparison = (json.loads((folder / name).read_bytes()) for name in ("metrics.json", "comparison.json"))
    write_readme(tmp_path, metrics, comparison)
    assert (tmp_path / "README.md").read_text() == (folder / "README.md").read_text()
