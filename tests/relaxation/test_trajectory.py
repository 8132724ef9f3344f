import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.relaxation.trajectory import Trajectory, read_trajectories
from cryingan.structures.crystals import Crystals
from tests.support.relaxations import here, quietly

CELL = np.diag([7.0, 7.5, 8.0])
SPECIES = ("Li", "O", "Cl", "Li", "Li", "O")


def structures(count, seed=0):
    grid = np.array(
        [(0.1, 0.2, 0.1), (0.5, 0.2, 0.3), (0.2, 0.6, 0.2), (0.7, 0.7, 0.4), (0.3, 0.4, 0.7), (0.7, 0.2, 0.8)]
    )
    return Crystals(grid + np.random.default_rng(seed).uniform(-0.03, 0.03, (count, 6, 3)), CELL, SPECIES)


@pytest.mark.parametrize("optimizer", ["fire", "cg"])
@pytest.mark.parametrize("backend", ["serial", "loky"])
def test_frames_are_what_the_potential_gives(pair, tmp_path, optimizer, backend):
    crystals = structures(3)
    how = {"optimizer": optimizer, "backend": backend, "processes": 2, "frames": 5}
    results = quietly(crystals, pair, output=tmp_path, **how)
    kept = dict(read_trajectories(tmp_path))
    assert sorted(kept) == [0, 1, 2]
    for i, frames in kept.items():
        assert 2 < len(frames.steps) <= 5
        assert (np.diff(frames.steps) > 0).all()
        assert (frames.steps[0], frames.steps[-1]) == (0, results.steps[i])
        assert frames.energies[0] == results.energy_initial[i]
        assert frames.energies[-1] == results.energy_final[i]
        atoms = [crystals[:1].to_ase()[0] for _ in frames.steps]
        for frame, positions in zip(atoms, frames.positions, strict=True):
            frame.positions = positions
        energies, forces = pair.evaluate(atoms)
        np.testing.assert_allclose(frames.energies, energies, atol=1e-4)  # the positions are kept in float32
        np.testing.assert_allclose(frames.forces, forces, atol=1e-4)


def test_frames_do_not_change_a_relaxation(pair, tmp_path):
    plain = here(structures(4), pair)
    kept = here(structures(4), pair, output=tmp_path, frames=3)
    np.testing.assert_array_equal(plain.energy_final, kept.energy_final)
    np.testing.assert_array_equal(plain.steps, kept.steps)


def test_without_frames_nothing_is_kept(pair, tmp_path):
    here(structures(1), pair, output=tmp_path)
    assert not list(read_trajectories(tmp_path))


def test_frames_are_spread_over_the_energy():
    trajectory, energies = Trajectory(6), -100 + 10 * np.exp(-np.arange(200) / 10)
    for step, energy in enumerate(energies):
        trajectory.record(step, energy, np.zeros((4, 3)), np.zeros((4, 3)))
    frames = trajectory.thinned()
    above = frames.energies + 100
    # A constant factor from 10 eV down to 1 meV/atom, then the last one.
    np.testing.assert_allclose(above[:5], np.geomspace(10, 4e-3, 5), rtol=0.1)
    assert (len(above), frames.steps[-1]) == (6, 199)


def test_short_way_keeps_what_there_is():
    trajectory = Trajectory(8)
    trajectory.record(0, -1.0, np.zeros((2, 3)), np.ones((2, 3)))
    assert len(trajectory.thinned().energies) == 1
    assert Trajectory(8).thinned() is None


def test_broken_file_is_named(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "000003.npz").write_bytes(b"PK torn")
    with pytest.raises(CryinGANError, match=r"000003\.npz"):
        list(read_trajectories(tmp_path))
