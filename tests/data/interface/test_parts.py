"""The parts of a build: folders of another build are refused, and a quicker potential may relax first."""

import csv
import shutil

import ase.io
import numpy as np
import pytest
import yaml

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from data.interface import build
from tests.support.bulk_crystals import LICL, made_crystal
from tests.support.interfaces import POTENTIAL, QUICK, RELAX, build_settings, energy_rows, write_system
from tests.support.relaxations import quietly

pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture(scope="module")
def two_built(tmp_path_factory):
    """The file of a system in whose folder two structures are built, to be copied."""
    system = write_system(tmp_path_factory.mktemp("two"))
    build.build(build_settings(system, 2))
    return system


@pytest.fixture
def begun(two_built, tmp_path):
    """The file of a system of which two structures are built."""
    shutil.copytree(two_built.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / two_built.name


def test_work_of_another_build_is_refused(begun):
    with pytest.raises(CryinGANError, match="holds a build with seed 0, here it is 1"):
        build.build(build_settings(begun, 3, seed=1))
    with pytest.raises(CryinGANError, match="other settings"):
        build.build(build_settings(begun, 4, relax={**RELAX, "fmax": 0.4}))


@pytest.mark.parametrize("collect", [True, False])
def test_another_crystal_of_the_same_cell_is_refused(begun, collect):
    crystal = made_crystal(LICL)
    crystal.positions[crystal.symbols == "Cl"] += [0, 0.15, 0]  # within the layer
    ase.io.write(begun.parent / "licl.cif", crystal)
    with pytest.raises(CryinGANError, match="holds other structures: the system or its crystals have changed"):
        build.build(build_settings(begun, 2, collect=collect))


@pytest.mark.parametrize(
    ("before", "after", "changes", "message"),
    [
        ("thickness: 7.5", "thickness: 7.5", {"seed": 7}, "seed 0, here it is 7"),
        ("name: my pair", "name: other", {}, "system my pair, here it is other"),
        ("thickness: 7.5", "thickness: 8", {}, "with region"),
        ("relax_crystals: false", "relax_crystals: false\nvacuum: 20", {}, "holds other structures"),
        ("Li-Li: 1.9", "Li-Li: 1.9", {"potential": QUICK}, r"was relaxed with pair \(\w{12}\), not with this pair"),
    ],
)
@pytest.mark.parametrize("collect", [True, False])
def test_settings_of_another_build_are_refused(begun, before, after, changes, message, collect):
    folder = begun.parent / "set"
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    begun.write_text(begun.read_text().replace(before, after))
    with pytest.raises(CryinGANError, match=message):
        build.build(build_settings(begun, 2, collect=collect, **changes))
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == kept


def test_a_damaged_note_of_the_build_is_named(begun):
    work = begun.parent / "set" / "work"
    (work / "build.json").write_text('{"system": ')
    with pytest.raises(CryinGANError, match=r"build\.json is not whole"):
        build.build(build_settings(begun, 2))


def test_a_part_that_is_gone_is_built_again(begun):
    whole = begun.parent / "set"
    build.build(build_settings(begun, 4))
    rows_before = energy_rows(whole)
    shutil.rmtree(whole / "work" / "structures_000000_000001")
    build.build(build_settings(begun, 4))
    assert energy_rows(whole) == rows_before


@pytest.mark.parametrize("without", [0, 2])
def test_structures_that_a_quicker_potential_relaxes_first(system, without):
    if without:
        build.build(build_settings(system, without))
    folder = build.build(build_settings(system, 4, first=QUICK))
    work = folder / "work"
    interface = build.assemble(
        build.read_system(system),
        *build.prepared_crystals(build.read_system(system), load_potential(**POTENTIAL), work),
    )
    starts = interface.structures(0, range(4))
    halfway = quietly(starts, load_potential(**QUICK), **RELAX)
    assert halfway.converged.all()
    expected = quietly(halfway.crystals, load_potential(**POTENTIAL), **RELAX).energy_final / 31
    expected[:without] = quietly(starts[:without], load_potential(**POTENTIAL), **RELAX).energy_final / 31
    table = energy_rows(folder)
    np.testing.assert_allclose([float(row["energy_per_atom"]) for row in table], expected, atol=1e-5)
    assert [row["energy_per_atom_initial"] == "" for row in table] == [number >= without for number in range(4)]
    [quicker] = yaml.safe_load((folder / "pair.card.yaml").read_text())["made"]["relaxed_first"]
    assert quicker == {"potential": "pair", "hash": load_potential(**QUICK).card.hash, "structures": 4 - without}
    assert f"{4 - without} structures relaxed with pair" in (folder / "README.md").read_text()


def test_a_build_that_resumes_with_another_quicker_potential_or_without(system):
    build.build(build_settings(system, 2, first=QUICK))
    with pytest.raises(CryinGANError, match="pair relaxed first: give it again"):
        build.build(build_settings(system, 3))
    with pytest.raises(CryinGANError, match="potential"):
        build.build(build_settings(system, 3, first={**QUICK, "radii": {"Li": 0.7, "O": 1.15, "Cl": 1.45}}))
    before = energy_rows(system.parent / "set")
    build.build(build_settings(system, 3, first=QUICK))
    assert energy_rows(system.parent / "set")[:2] == [
        {**row, "interface_energy": new["interface_energy"], "kept": new["kept"]}
        for row, new in zip(before, energy_rows(system.parent / "set"), strict=False)
    ]


def test_a_structure_that_the_quicker_potential_cannot_relax_begins_as_it_was_placed(system):
    exploding = {**QUICK, "radii": {"Li": 3.0, "O": 3.0, "Cl": 3.0}}
    relax_settings = {**RELAX, "max_energy": 20.0}
    folder = build.build(build_settings(system, 2, first=exploding, relax=relax_settings))
    ended = list(csv.DictReader((folder / "work" / "first_structures_000000_000001" / "relax.csv").open()))
    assert {row["reason"] for row in ended} == {"exploded"}
    alone = build.build(build_settings(system, 2, folder=str(system.parent / "alone"), relax=relax_settings))
    assert [row["energy_per_atom"] for row in energy_rows(folder)] == [
        row["energy_per_atom"] for row in energy_rows(alone)
    ]


def test_a_build_killed_while_the_quicker_potential_relaxed_resumes_with_more_structures(system):
    """Nothing of what it had is lost, though no structure has begun to relax with the potential of the build."""
    whole = energy_rows(build.build(build_settings(system, 5, first=QUICK, folder=str(system.parent / "whole"))))
    work = build.build(build_settings(system, 3, first=QUICK)) / "work"
    shutil.rmtree(work / "structures_000000_000002")
    kept = (work / "first_structures_000000_000002" / "relax.csv").read_bytes()
    build.build(build_settings(system, 5, first=QUICK))
    assert sorted(path.name for path in work.glob("*structures_*")) == [
        "first_structures_000000_000002",
        "first_structures_000003_000004",
        "structures_000000_000002",
        "structures_000003_000004",
    ]
    assert (work / "first_structures_000000_000002" / "relax.csv").read_bytes() == kept
    assert [row["energy_per_atom"] for row in energy_rows(work.parent)] == [row["energy_per_atom"] for row in whole]
