"""Structures as CDVAE and DiffCSP save them: tensors of all structures one after the other."""

from argparse import Namespace

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from cryingan.errors import CryinGANError
from cryingan.structures.files import read_structures
from cryingan.structures.formats import is_structure_file
from cryingan.structures.generated import KEYS
from cryingan.structures.lenient import read_candidates
from tests.support.command import call

SPECIES = ("Li", "Cl", "Li", "O")
CELL = Atoms(cell=[6.0, 7.0, 8.0, 90.0, 85.0, 100.0]).cell


def structures(count=3, seed=0):
    random = np.random.default_rng(seed)
    return [Atoms(SPECIES, scaled_positions=random.random((4, 3)), cell=CELL, pbc=True) for _ in range(count)]


def content(frames, passes=None):
    """What the programs save; with a number of passes they repeat it along a first axis."""
    parts = {
        "frac_coords": torch.cat([torch.tensor(one.get_scaled_positions()) for one in frames]).float(),
        "atom_types": torch.cat([torch.tensor(one.numbers) for one in frames]),
        "num_atoms": torch.tensor([len(one) for one in frames]),
        "lengths": torch.tensor(np.array([one.cell.lengths() for one in frames])).float(),
        "angles": torch.tensor(np.array([one.cell.angles() for one in frames])).float(),
    }
    return parts if passes is None else {key: torch.stack([value] * passes) for key, value in parts.items()}


def assert_read(path, frames):
    found = list(read_candidates(path))
    assert len(found) == len(frames)
    for one, frame in zip(found, frames, strict=True):
        assert one.atoms is not None, one.reason
        assert one.atoms.numbers.tolist() == frame.numbers.tolist()
        np.testing.assert_allclose(one.atoms.cell.cellpar(), frame.cell.cellpar(), rtol=1e-5)
        apart = one.atoms.get_scaled_positions() - frame.get_scaled_positions()
        assert np.abs(apart - np.rint(apart)).max() < 1e-6


@pytest.mark.parametrize("passes", [None, 1, 2])
@pytest.mark.parametrize("more", [{}, {"eval_setting": Namespace(label="gen", batch=25), "time": 3.5}])
def test_tensors_are_cut_into_structures(tmp_path, passes, more):
    frames = structures()
    torch.save(content(frames, passes) | more, tmp_path / "eval_gen.pt")
    assert_read(tmp_path / "eval_gen.pt", frames * (passes or 1))
    found = read_structures(tmp_path / "eval_gen.pt", closest=0)
    assert (len(found), found.species) == (3 * (passes or 1), SPECIES)


def test_structures_of_different_sizes(tmp_path):
    frames = [bulk("Si"), *structures(1), bulk("NaCl", "rocksalt", a=5.6, cubic=True)]
    torch.save(content(frames), tmp_path / "set.pt")
    assert_read(tmp_path / "set.pt", frames)


def test_a_broken_structure_is_named_and_the_others_are_read(tmp_path):
    tensors = content(structures())
    tensors["frac_coords"][5] = torch.nan
    torch.save(tensors, tmp_path / "eval_gen.pt")
    found = list(read_candidates(tmp_path / "eval_gen.pt"))
    assert [one.atoms is None for one in found] == [False, True, False]


@pytest.mark.parametrize(("key", "value"), [("lengths", 0.0), ("angles", 0.0), ("angles", 179.0)])
def test_a_cell_that_cannot_be_is_named(tmp_path, key, value):
    tensors = content(structures())
    tensors[key][1] = value
    torch.save(tensors, tmp_path / "eval_gen.pt")
    found = list(read_candidates(tmp_path / "eval_gen.pt"))
    assert [one.atoms is None for one in found] == [False, True, False]
    assert "no cell has the lengths and angles [" in found[1].reason


@pytest.mark.parametrize("change", [lambda one: one.requires_grad_(), lambda one: one.to_sparse()])
def test_tensors_with_a_gradient_or_sparse_ones(tmp_path, change):
    frames = structures()
    tensors = content(frames)
    torch.save(tensors | {"frac_coords": change(tensors["frac_coords"])}, tmp_path / "eval_gen.pt")
    assert_read(tmp_path / "eval_gen.pt", frames)


class Other:
    """An object whose class would have to be imported."""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"eval_setting": Other()}, "or holds more than tensors, which could run code: save frac_coords, atom_types"),
        ({"lengths": None}, "has no tensor lengths, as the files of CDVAE and DiffCSP have"),
        ({"num_atoms": torch.tensor([4, 4, 5])}, r"num_atoms \(1, 3\), .* do not belong to the same structures"),
        ({"num_atoms": torch.tensor([4, 8, 0])}, "do not belong to the same structures"),
        ({"atom_types": torch.ones(11)}, "do not belong to the same structures"),
        ({"angles": torch.ones(3, 2)}, "do not belong to the same structures"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, change, said):
    path = tmp_path / "eval_gen.pt"
    torch.save(content(structures()) | change, path)
    with pytest.raises(CryinGANError, match=said) as error:
        list(read_candidates(path))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert not is_structure_file(path)


@pytest.mark.parametrize("bytes_", [b"", b"no tensors", b"PK\x03\x04"])
def test_files_that_are_none_of_torch(tmp_path, bytes_):
    (tmp_path / "eval_gen.pt").write_bytes(bytes_)
    with pytest.raises(CryinGANError, match=r"eval_gen\.pt (cannot be read|is no file of torch)"):
        list(read_candidates(tmp_path / "eval_gen.pt"))


def test_weights_in_a_folder_are_no_structures(tmp_path):
    torch.save({"weight": torch.ones(3)}, tmp_path / "state.pt")
    ase.io.write(tmp_path / "one.cif", structures(1)[0])
    assert len(list(read_candidates(tmp_path))) == 1


def test_every_key_is_needed():
    assert set(content(structures())) == set(KEYS)


@pytest.mark.slow
def test_evaluate_takes_them(tmp_path):
    frames = [bulk("Si", cubic=True).repeat(2) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.rattle(0.05, seed=number)
    torch.save(content(frames, 1), tmp_path / "eval_gen.pt")
    ase.io.write(tmp_path / "same.extxyz", frames)
    values = []
    for name in ("eval_gen.pt", "same.extxyz"):
        out = tmp_path / name.partition(".")[0]
        ours = (f"structures={tmp_path / name}", f"reference={tmp_path / 'same.extxyz'}", "benchmark=silicon")
        done = call("evaluate.py", *ours, f"output={out}")
        assert done.returncode == 0, done.stderr
        values.append((out / "metrics.json").read_text())
    assert values[0].count('"value"') == values[1].count('"value"') > 0
