"""Structures with anions that are too close are refused by the builder, counted and named."""

import shutil

import pytest
import yaml

from cryingan.errors import CryinGANError
from cryingan.structures.files import read_structures
from data.interface import build
from tests.support.interfaces import STRUCTURES, build_settings, energy_rows

pytestmark = pytest.mark.usefixtures("no_figures")
ATOMS, CHLORINES = 31, 8  # of a structure, whose last atoms are the chlorines


@pytest.fixture
def collected(built, tmp_path):
    """Collects a copy of the relaxations again; returns the folder of the set."""
    shutil.copytree(built.parents[1], tmp_path / "copy")
    settings = build_settings(tmp_path / "copy/pair.yaml", STRUCTURES, collect=True)
    return lambda: build.build(settings)


def make_chlorine(folder, number):
    """Place one Cl 2 Angstrom above another in a relaxed structure."""
    [path] = (folder / "work").glob("structures_*/relaxed.extxyz")
    lines = path.read_text().splitlines()
    end = (ATOMS + 2) * (number + 1)
    symbol, x, y, z = lines[end - CHLORINES].split()[:4]
    last = lines[end - 1].split()
    assert symbol == last[0] == "Cl"
    lines[end - 1] = " ".join(["Cl", x, y, str(float(z) + 2), *last[4:]])
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("place", [0, 1, 2, -1], ids="energy rank {}".format)
def test_a_structure_with_chlorine_is_refused_and_counted(collected, place):
    folder = collected()
    rows, crystals = energy_rows(folder), read_structures(folder / "pair.extxyz.gz")
    assert {row["contacts"] for row in rows} == {"none"}
    made = yaml.safe_load((folder / "pair.card.yaml").read_text())["made"]
    assert made["contacts"] == {"converged": 0, "refused": 0}
    chosen = sorted(rows, key=lambda row: float(row["energy_per_atom"]))[place]
    low = chosen["kept"] == "True"
    make_chlorine(folder, int(chosen["number"]))
    again = {row["number"]: row for row in energy_rows(collected())}
    refused = again.pop(chosen["number"])
    assert list(again.values()) == [row for row in rows if row is not chosen]
    assert (refused["kept"], refused["reason"]) == ("False", "converged")
    assert "Cl-Cl 2.00" in refused["contacts"]
    assert refused["interface_energy"] == chosen["interface_energy"], "the cut-off is that of all"
    made = yaml.safe_load((folder / "pair.card.yaml").read_text())["made"]
    assert made["contacts"] == {"converged": 1, "refused": int(low)}
    assert made["kept"] == len(read_structures(folder / "pair.extxyz.gz")) == len(crystals) - low
    text = " ".join((folder / "README.md").read_text().split())
    assert f"has the rule): 1. Of these {int(low)} would be below the cut-off, and are not kept." in text


def test_a_set_of_which_too_little_is_left_is_not_written(collected):
    folder = collected()
    content = (folder / "pair.extxyz.gz").read_bytes()
    for row in energy_rows(folder)[:5]:
        make_chlorine(folder, int(row["number"]))
    with pytest.raises(CryinGANError, match=r"structures below the cut-off [01] are without anions that are too close"):
        collected()
    assert (folder / "pair.extxyz.gz").read_bytes() == content
