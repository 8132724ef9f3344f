"""Labelled frames: of a build, of a user's file, and their split into sets."""

import ase.io
import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.trajectory import read_trajectories
from data.interface.potential_training.frames import LabelledFrames, frames_of_file, frames_of_relaxations, split
from tests.support.interfaces import POTENTIAL, STRUCTURES
from tests.support.potential_training import labelled_file


def test_frames_of_a_build_are_what_its_potential_gives(built):
    frames = frames_of_relaxations(built)
    [folder] = built.glob("structures_*")
    kept = dict(read_trajectories(folder))
    assert len(frames) == sum(len(one.energies) for one in kept.values())
    assert len(set(frames.structures)) == STRUCTURES
    assert frames.elements == ("Li", "O", "Cl")
    energies, forces = load_potential(**POTENTIAL).evaluate(frames.atoms)
    np.testing.assert_allclose(frames.energies, energies, atol=2e-4)  # positions are kept as float32
    np.testing.assert_allclose(np.concatenate(frames.forces), np.concatenate(forces), atol=2e-3)


def test_frames_of_one_structure_stay_together(built):
    frames = frames_of_relaxations(built)
    for seed in range(5):
        sets = split(frames, 0.2, 0.3, seed)
        assert all(sets.values())
        assert sorted(name for names in sets.values() for name in names) == sorted(set(frames.structures))
        assert sum(len(frames.of(names)) for names in sets.values()) == len(frames)
    assert split(frames, 0.2, 0.3, 0) == split(frames, 0.2, 0.3, 0) != split(frames, 0.2, 0.3, 1)
    for shares in ((0.5, 0.5), (0.0, 0.1), (0.1, -0.1)):
        with pytest.raises(CryinGANError, match="shares above 0"):
            split(frames, *shares, 0)


def test_more_structures_leave_the_others_in_their_sets():
    def of(n):
        return split(LabelledFrames([], np.zeros(n), [], None, np.arange(n).astype(str), {}), 0.1, 0.2, 3)

    few, many = of(300), of(1000)
    for name, share in (("training", 0.7), ("validation", 0.1), ("test", 0.2)):
        assert set(few[name]) == {one for one in many[name] if int(one) < 300}
        assert abs(len(many[name]) / 1000 - share) < 3 * np.sqrt(share * (1 - share) / 1000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no structures"),
        ("2\nno lattice\nLi 0 0 0\nLi 0 0 2\n", "frame 1 has no cell"),
        ('1\nLattice="4 0 0 0 4 0 0 0 4" energy=1 pbc="T T T"\nLi 0 0 0\n', "frame 1 has no forces .*keys: energy"),
        ("2\nLi 0 0\n", "frame 1 ends early"),
    ],
)
def test_file_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "bad.extxyz"
    path.write_text(content)
    with pytest.raises(CryinGANError, match=message):
        frames_of_file(path)


def test_labels_that_cannot_be_used(tmp_path):
    with pytest.raises(CryinGANError, match="frame 1: energy is not finite"):
        frames_of_file(labelled_file(tmp_path / "nan.extxyz", n=2, energy=np.nan))
    with pytest.raises(CryinGANError, match="frame 1 has no missing="):
        frames_of_file(labelled_file(tmp_path / "key.extxyz"), "missing")
    mixed = ase.io.read(labelled_file(tmp_path / "a.extxyz", n=2), ":")
    mixed += ase.io.read(labelled_file(tmp_path / "b.extxyz", n=2, stress=False), ":")
    ase.io.write(tmp_path / "mixed.extxyz", mixed, format="extxyz")
    with pytest.raises(CryinGANError, match="frame 3 has no stress, others have"):
        frames_of_file(tmp_path / "mixed.extxyz")
    with pytest.raises(CryinGANError, match="2 structures are too few"):
        split(frames_of_file(labelled_file(tmp_path / "few.extxyz", n=2)), 0.1, 0.1, 0)
