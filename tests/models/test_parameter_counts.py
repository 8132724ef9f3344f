"""The parameter counts that the documentation gives."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from configs.schema import plain
from tests.conftest import compose
from train import build

TABLE = Path("docs/models.md").read_text().partition("Counted by")[0]
ROWS = re.findall(r"^\| `(\w+)`.*?([\d,]{5,}) \(`experiment=(\w+)`: ([\d,]+)\)", TABLE, re.MULTILINE)


@pytest.fixture(scope="module")
def beside():
    """What has the structures of li2o_licl, read once."""
    data, _ = build(plain(compose("data=li2o_licl")))
    return SimpleNamespace(data=data)


def test_all_models_that_are_trained_are_in_the_table():
    assert [row[0] for row in ROWS] == [
        "cryingan",
        "paper",
        "comb",
        "cgcnn",
        "diffcsp",
        "flow",
        "cdvae",
        "unimat",
        "crystens",
    ]


@pytest.mark.parametrize(
    ("key", "count"),
    [pair for name, count, small, few in ROWS for pair in ((f"model={name}", count), (f"experiment={small}", few))],
)
def test_count(key, count, beside):
    _, model = build(plain(compose("data=li2o_licl", key, "model.ema=0")), beside)
    assert f"{sum(p.numel() for p in model.parameters()):,}" == count
