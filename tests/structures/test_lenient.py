"""Structures of any origin: what is broken is said of one structure and stops nothing."""

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from cryingan.errors import CryinGANError
from cryingan.structures.lenient import read_candidates, salvage_structures
from cryingan.structures.sources import source_hash

GOOD = """2
Lattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3 pbc="T T T"{info}
Li 0.1 0 0
Cl 2.5 2.5 2.5
"""


def good(info=""):
    return GOOD.format(info=info)


def test_broken_frames_have_reasons_and_the_others_are_read(tmp_path):
    frames = [
        (good(), ""),
        (good().replace("Cl 2.5 2.5 2.5", "Cl 2.5 x 2.5"), "atom 2 (line 8)"),
        (good().replace("Li 0.1", "Li nan"), "not finite"),
        (good().replace("5 0 0 0 5 0 0 0 5", "5 0 0 5 0 0 0 0 5"), "flat"),
        (good().replace("T T T", "T T F"), "pbc"),
        (good(" sample=17 converged=F reason=max_steps"), "not relaxed: max_steps"),
        (good(" sample=18 converged=T reason=converged"), ""),
        (good().replace("Li", "Qq"), "Qq"),
        ("3\n" + good().split("\n", 1)[1], "ends early: 3 atoms promised, 2 found"),
    ]
    path = tmp_path / "frames.extxyz"
    path.write_text("".join(text for text, _ in frames))
    found = list(read_candidates(path))
    assert [frame.number for frame in found] == list(range(1, 10))
    for frame, (_, reason) in zip(found, frames, strict=True):
        assert (frame.atoms is None) == bool(reason)
        assert reason in frame.reason
        assert str(path) not in frame.reason
    assert found[6].info["sample"] == 18
    np.testing.assert_allclose(found[0].atoms.positions, [[0.1, 0, 0], [2.5, 2.5, 2.5]], atol=1e-12)


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    for number in (10, 9, 1):
        cell = np.diag([4.0 + number, 5, 6])
        write(
            tmp_path / f"{number}.cif",
            Atoms("LiCl", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=cell, pbc=True),
        )
    (tmp_path / "2.cif").write_text("data_x\n_cell_length_a nonsense\n")
    (tmp_path / "POSCAR_20").write_text("no POSCAR\n")
    (tmp_path / "notes.csv").write_text("a,b\n")
    (tmp_path / ".hidden.cif").write_text("")
    frames = list(read_candidates(tmp_path))
    assert [frame.name for frame in frames] == ["1.cif", "2.cif", "9.cif", "10.cif", "POSCAR_20"]
    assert [frame.atoms is None for frame in frames] == [False, True, False, False, True]
    assert all(frame.reason for frame in (frames[1], frames[4]))
    lengths = [frame.atoms.cell.lengths()[0] for frame in frames if frame.atoms is not None]
    np.testing.assert_allclose(lengths, [5, 13, 14], atol=1e-6)


def test_structures_in_memory_and_their_hash():
    atoms = Atoms("LiCl", positions=[[0, 0, 0], [2, 2, 2]], cell=np.eye(3) * 4, pbc=True, info={"sample": 5})
    unperiodic = Atoms("Li", positions=[[0, 0, 0]])
    frames = list(read_candidates([atoms, unperiodic]))
    assert frames[0].composition == {"Cl": 1, "Li": 1}
    assert frames[0].info["sample"] == 5
    assert "no cell" in frames[1].reason
    moved = atoms.copy()
    moved.positions[0, 0] = 1e-9
    assert len({source_hash(some) for some in ([atoms], [moved], [atoms, atoms], [atoms, unperiodic])}) == 4
    assert source_hash([atoms]) == source_hash([atoms.copy()])


def test_only_whole_numbers_from_zero_are_sample_numbers(tmp_path):
    given = ["17", "0", "a1", "1.5", '"1 2 3"', "T", "-1", ""]
    path = tmp_path / "frames.extxyz"
    path.write_text("".join(good(f" sample={value}") for value in given))
    assert [frame.sample for frame in read_candidates(path)] == [17, 0, *[None] * 6]
    path.write_text(good(" sample=4").replace("Cl 2.5", "Cl x"))
    [broken] = read_candidates(path)
    assert broken.atoms is None
    assert broken.sample == 4
    atoms = Atoms("Li", positions=[[0, 0, 0]], cell=np.eye(3) * 4, pbc=True)
    for value, sample in ((np.int64(3), 3), (np.array([1, 2]), None), (True, None), (None, None)):
        atoms.info["sample"] = value
        assert next(read_candidates([atoms])).sample == sample


def test_the_hash_of_a_folder_knows_names_and_contents(tmp_path):
    for name, text in (("1.cif", "a"), ("2.cif", "b")):
        (tmp_path / name).write_text(text)
    first = source_hash(tmp_path)
    (tmp_path / "readme.md").write_text("not a structure")
    assert source_hash(tmp_path) == first
    (tmp_path / "2.cif").write_text("c")
    second = source_hash(tmp_path)
    (tmp_path / "2.cif").rename(tmp_path / "3.cif")
    assert len({first, second, source_hash(tmp_path)}) == 3


@pytest.mark.parametrize("content", [None, "folder", "header"])
def test_what_holds_no_structures_is_refused(tmp_path, content):
    path = tmp_path / "some.extxyz"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text("not a number\n")
    with pytest.raises(CryinGANError, match=r"some\.extxyz"):
        list(read_candidates(path))


def test_salvaged_structures_keep_their_places_in_any_format(tmp_path, caplog):
    """One frame is cut short in a line, one has an atom that is nowhere, one has a flat cell."""
    flat = good().replace("5 0 0 0 5 0 0 0 5", "5 0 0 5 0 0 0 0 5")
    path = tmp_path / "frames.extxyz"
    path.write_text("".join([flat, good(), good().replace("Cl 2.5", "Cl"), good().replace("Li 0.1", "Li nan")]))
    crystals = salvage_structures(path)
    assert crystals.species == ("Li", "Cl")
    finite = np.isfinite(crystals.fractional).all(axis=2)
    assert finite.tolist() == [[False] * 2, [True] * 2, [False] * 2, [False, True]]
    for words in ("frame 1: the cell is flat", "frame 3, atom 2 (line 12): too few", "frame 4 has positions that"):
        assert f"{path}, {words}" in caplog.text
    caplog.clear()
    frames = [Atoms("Li", positions=[[0, 0, 0]], cell=np.eye(3) * edge, pbc=True) for edge in (0.0, 5.0)]
    write(tmp_path / "frames.traj", frames)
    assert np.isfinite(salvage_structures(tmp_path / "frames.traj").fractional[:, 0, 0]).tolist() == [False, True]
    assert "frames.traj, frame 1 has no cell" in caplog.text


def test_structures_of_two_compositions_or_none_are_not_salvaged(tmp_path):
    path = tmp_path / "mixed.extxyz"
    path.write_text(good() + good().replace("Li", "Na"))
    with pytest.raises(CryinGANError, match=r"mixed.extxyz, frame 2 is Na1Cl1, but frame 1 is Li1Cl1: compositions"):
        salvage_structures(path)
    path.write_text("1\nbroken\nLi 0 0\n")
    with pytest.raises(CryinGANError, match="holds no structure that can be read"):
        salvage_structures(path)
    with pytest.raises(CryinGANError, match=r"is not there; give a file, a folder or a pattern of structures"):
        salvage_structures(tmp_path / "nowhere.extxyz")
