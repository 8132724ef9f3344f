"""Structures as CDVAE and DiffCSP save them: tensors of all structures one after the other."""

import json
from argparse import Namespace

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from cryingan.errors import CryinGANError
from cryingan.evaluation.evaluate import evaluate
from cryingan.structures.files import read_structures
from cryingan.structures.formats import is_structure_file
from cryingan.structures.generated import KEYS, WHOLE
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


@pytest.mark.parametrize(
    ("key", "values"),
    [("lengths", [0.0, -6.0, torch.inf, torch.nan]), ("angles", [0.0, 179.0, 180.0, -90.0, 400.0, torch.nan])],
)
def test_a_cell_that_cannot_be_is_named(tmp_path, key, values):
    for value in values:
        tensors = content(structures())
        tensors[key][1] = value
        torch.save(tensors, tmp_path / "eval_gen.pt")
        found = list(read_candidates(tmp_path / "eval_gen.pt"))
        assert [one.atoms is None for one in found] == [False, True, False], value
        assert "no cell has the lengths and angles [" in found[1].reason


def test_an_element_that_cannot_be_is_named(tmp_path):
    for number in (0, -3, 119):
        tensors = content(structures())
        tensors["atom_types"][6] = number
        torch.save(tensors, tmp_path / "eval_gen.pt")
        found = list(read_candidates(tmp_path / "eval_gen.pt"))
        assert [one.reason for one in found] == ["", f"no element has the atomic number {number}", ""]


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.requires_grad_(),
        lambda one: torch.nn.Parameter(one),
        lambda one: one.t().contiguous().t(),
        lambda one: one.double(),
    ],
)
def test_dense_tensors_of_any_origin(tmp_path, change):
    frames = structures()
    tensors = content(frames)
    torch.save(tensors | {"frac_coords": change(tensors["frac_coords"])}, tmp_path / "eval_gen.pt")
    assert_read(tmp_path / "eval_gen.pt", frames)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.uint64, torch.float32])
def test_whole_numbers_of_any_type(tmp_path, kind):
    frames = structures()
    whole = {key: value.to(kind) for key, value in content(frames).items() if key in WHOLE}
    torch.save(content(frames) | whole, tmp_path / "eval_gen.pt")
    assert_read(tmp_path / "eval_gen.pt", frames)


NOT_DENSE = {
    "sparse_coo float32 on cpu": lambda one: one.to_sparse(),
    "sparse_csr float32 on cpu": lambda one: one.reshape(len(one), -1).to_sparse_csr(),
    "nested float32 on cpu": lambda one: torch.nested.nested_tensor([one, one]),
    "strided qint8 on cpu": lambda one: torch.quantize_per_tensor(one, 0.1, 0, torch.qint8),
    "strided complex64 on cpu": lambda one: one.to(torch.complex64),
    "strided bool on cpu": lambda one: one > 0,
    "strided float32 on meta": lambda one: one.to("meta"),
}


@pytest.mark.filterwarnings("ignore")  # of torch, about what is refused here
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("what", NOT_DENSE)
def test_tensors_that_hold_no_real_numbers_are_named(tmp_path, key, what):
    tensors = content(structures())
    torch.save(tensors | {key: NOT_DENSE[what](tensors[key].float())}, tmp_path / "eval_gen.pt")
    with pytest.raises(CryinGANError, match=f"{key} must be a dense tensor of real numbers, not {what}$"):
        list(read_candidates(tmp_path / "eval_gen.pt"))


def test_a_sparse_tensor_of_any_size_takes_no_memory(tmp_path):
    huge = torch.sparse_coo_tensor(torch.tensor([[0], [0]]), torch.tensor([1.0]), (10**9, 10**9))
    torch.save(content(structures()) | {"frac_coords": huge}, tmp_path / "eval_gen.pt")
    with pytest.raises(CryinGANError, match="frac_coords must be a dense tensor"):
        list(read_candidates(tmp_path / "eval_gen.pt"))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("change", [lambda one: one.flatten()[0], lambda one: one[0, 0], lambda one: one[None]])
def test_tensors_with_other_axes_are_refused(tmp_path, key, change):
    tensors = content(structures(), passes=1)
    torch.save(tensors | {key: change(tensors[key])}, tmp_path / "eval_gen.pt")
    with pytest.raises(CryinGANError, match=rf"{key} has the shape \(.*\): . axes are expected"):
        list(read_candidates(tmp_path / "eval_gen.pt"))


@pytest.mark.parametrize("key", ["frac_coords", "lengths", "angles"])
@pytest.mark.parametrize("columns", [0, 2, 4])
def test_three_numbers_each(tmp_path, key, columns):
    tensors = content(structures())
    torch.save(tensors | {key: torch.ones(len(tensors[key]), columns)}, tmp_path / "eval_gen.pt")
    with pytest.raises(CryinGANError, match="do not belong to the same structures"):
        list(read_candidates(tmp_path / "eval_gen.pt"))


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
        ({"atom_types": torch.full((12,), 3.7)}, r"atom_types must be whole numbers, not 3\.7"),
        ({"num_atoms": torch.tensor([4.4, 3.8, 3.8])}, r"num_atoms must be whole numbers, not 4\.4"),
        ({"num_atoms": torch.tensor([4, 4, torch.inf])}, "num_atoms must be whole numbers, not inf"),
        ({"num_atoms": torch.tensor([2**63 - 1, 2**63 - 1, 14])}, "do not belong to the same structures"),
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


def saved_twice(folder):
    """The same structures as tensors and as extended XYZ."""
    frames = [bulk("Si", cubic=True) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.rattle(0.05, seed=number)
    torch.save(content(frames, 1), folder / "eval_gen.pt")
    ase.io.write(folder / "same.extxyz", frames)
    return folder / "eval_gen.pt", folder / "same.extxyz"


def test_scores_are_those_of_the_same_structures(tmp_path):
    tensors, same = saved_twice(tmp_path)
    found, expected = (evaluate(path, same, "silicon", processes=1, progress=False) for path in (tensors, same))
    assert found.counts == expected.counts
    for name, score in expected.values.items():
        assert found.values[name].value == pytest.approx(score.value, abs=1e-5), name


@pytest.mark.slow
def test_evaluate_takes_them(tmp_path):
    scores = []
    tensors, same = saved_twice(tmp_path)
    for path in (tensors, same):
        out = tmp_path / path.stem
        done = call("evaluate.py", f"structures={path}", f"reference={same}", "benchmark=silicon", f"output={out}")
        assert done.returncode == 0, done.stderr
        found = json.loads((out / "metrics.json").read_text())
        scores.append({name: one["value"] for name, one in found.items() if isinstance(one, dict) and "value" in one})
    assert "d_rdf" in scores[0]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
