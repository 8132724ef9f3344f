"""Samples that the page shows in three dimensions."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from cryingan.plots.atoms import atom_looks, bond_cutoffs
from cryingan.report.reading import read_run
from cryingan.report.structures import drawing, viewer_set
from tests.support.run_folders import CELL, SAMPLES, SPECIES, config, write_run


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path / "run", config())
    return read_run(tmp_path / "run")


def images(atoms, cutoffs):
    """Bonds counted from all images one cell around: pairs of atoms with the image of the second."""
    found = set()
    for shift in np.indices((3, 3, 3)).reshape(3, -1).T - 1:
        for i in range(len(atoms)):
            for j in range(len(atoms)):
                pair = tuple(sorted((atoms.symbols[i], atoms.symbols[j])))
                apart = np.linalg.norm(atoms.positions[j] + shift @ atoms.cell.array - atoms.positions[i])
                if 0 < apart < cutoffs.get(pair, 0):
                    found.add((i, j, *shift.tolist()))
    return found


@pytest.mark.parametrize("cell", [CELL / 2, np.array([[4.0, 0, 0], [1.5, 4.2, 0], [-1, 0.5, 4.5]])])
def test_every_bond_is_drawn_once_through_faces_too(cell):
    atoms = Atoms(SPECIES * 2, cell=cell, pbc=True, scaled_positions=np.random.default_rng(1).random((10, 3)))
    cutoffs = bond_cutoffs(SPECIES)
    drawn = drawing(atoms, cutoffs)
    bonds = np.reshape(drawn["bonds"], (-1, 2)).tolist()
    crossing = np.reshape(drawn["crossing"], (-1, 5)).tolist()
    both = [(i, j, 0, 0, 0) for i, j in bonds] + [tuple(one) for one in crossing]
    assert len(set(both)) == len(both)
    both += [(j, i, -a, -b, -c) for i, j, a, b, c in both]
    assert len(crossing) > 0
    assert set(both) == images(atoms, cutoffs)
    assert len(both) == len(set(both))


def test_positions_are_wrapped_and_to_a_hundredth():
    atoms = Atoms("LiO", cell=CELL, pbc=True, positions=[[-1, 0.123, 0.5], [3, 4, 9]])
    positions = np.reshape(drawing(atoms, {})["positions"], (2, 3)) / 100
    np.testing.assert_allclose(positions, [[5, 0.12, 0.5], [3, 4, 1]], atol=1e-9)
    assert drawing(Atoms("LiO", cell=CELL, positions=[[np.nan] * 3, [0] * 3]), {}) is None


def test_silicon_has_four_bonds_per_atom():
    silicon = drawing(bulk("Si", cubic=True), bond_cutoffs(["Si"]))
    assert len(silicon["bonds"]) // 2 + len(silicon["crossing"]) // 5 == 16


def test_samples_are_ordered_by_energy(run):
    shown = viewer_set(run, "a run")
    energies = [sample["energy"] for sample in shown["samples"]]
    assert energies[-1] is None
    assert energies[:-1] == sorted(energies[:-1])
    assert shown["samples"][-1]["reason"] == "not_repaired"
    assert [set(sample) & {"before", "after"} for sample in shown["samples"]][-1] == {"before"}
    assert set(shown["samples"][0]) == {"sample", "energy", "reason", "before", "after"}
    assert (shown["epoch"], shown["total"], shown["unit"]) == (4, SAMPLES, "eV/atom")
    assert shown["species"] == list(SPECIES)


def test_fewer_samples_where_there_is_little_room(run):
    assert len(viewer_set(run, "a run", most_bytes=3 * 40 * len(SPECIES))["samples"]) == 3
    assert len(viewer_set(run, "a run", most_bytes=0)["samples"]) == 1


def test_raw_samples_where_nothing_is_relaxed(tmp_path):
    write_run(tmp_path / "run", config(), relaxed=False)
    (tmp_path / "run/samples").mkdir()
    write_run(tmp_path / "other", config())
    (tmp_path / "other/relaxed/epoch_000004/samples.extxyz").rename(tmp_path / "run/samples/epoch_000004.extxyz")
    shown = viewer_set(read_run(tmp_path / "run"), "a run")
    assert [sample["sample"] for sample in shown["samples"]] == list(range(SAMPLES))
    assert shown["epoch"] == 4


def test_atoms_look_as_in_the_pictures(run):
    looks = {symbol: (look.color, look.radius) for symbol, look in atom_looks(SPECIES).items()}
    shown = {symbol: (look["color"], look["radius"]) for symbol, look in viewer_set(run, "a run")["looks"].items()}
    assert shown == looks
