import pytest

from cryingan.structures.files import write_structures
from tests.conftest import random_crystals
from tests.support.relaxed_samples import CARD, CELL, SPECIES


@pytest.fixture
def training(tmp_path):
    path = tmp_path / "data/set.extxyz"
    path.parent.mkdir()
    write_structures(random_crystals(9, SPECIES, CELL), path)
    (tmp_path / "data/set.card.yaml").write_text(CARD)
    return {"path": str(path), "sort_species": False}
