"""data.shift: a model learns coordinates with another origin, and its samples have that of the file."""

import csv

import numpy as np
import pytest

from configs import entry
from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures
from cryingan.training.checkpoints import load_model
from data.origin import axes_cut, emptiest_origin, origin_of
from sample import sample
from tests.conftest import TINY, compose
from tests.support.checkpoints import assert_same
from train import train

SPECIES = ("Li", "O", "Li", "Cl")


def test_atoms_on_both_faces_are_found():
    fractional = np.random.default_rng(0).uniform(0.05, 0.95, (50, 20, 3))
    assert axes_cut(fractional) == ""
    fractional[:, 0, 1] = 0.001
    assert axes_cut(fractional) == ""
    fractional[:, 1, 1] = 0.999
    assert axes_cut(fractional) == "b"


def widest_gap(coordinates):
    """Middle and width of the widest gap between points on a circle of length 1."""
    points = np.sort(coordinates)
    gaps = np.diff(points, append=points[0] + 1)
    place = gaps.argmax()
    return (points[place] + gaps[place] / 2) % 1, gaps[place]


@pytest.mark.parametrize("seed", range(5))
def test_the_emptiest_origin_is_in_the_widest_gap(seed):
    random = np.random.default_rng(seed)
    layers = random.uniform(size=(1, 6, 3))
    fractional = (layers + random.uniform(-0.015, 0.015, (40, 6, 3))) % 1
    for axis, origin in enumerate(emptiest_origin(fractional)):
        middle, width = widest_gap(fractional[..., axis].ravel())
        assert width > 0.03
        assert abs((origin - middle + 0.5) % 1 - 0.5) <= 0.001 + 1e-12
    assert axes_cut((fractional - emptiest_origin(fractional)) % 1) == ""


def test_without_a_gap_it_is_where_the_fewest_atoms_are():
    random = np.random.default_rng(0)
    crowded = random.uniform(size=(400, 20, 3))
    thinned = np.where(np.abs(crowded - 0.3) < 0.02, (crowded + random.uniform(0.1, 0.9, crowded.shape)) % 1, crowded)
    assert np.abs(np.array(emptiest_origin(thinned)) - 0.3).max() < 0.02


def test_one_atom_has_its_origin_opposite_and_no_axis_without_atoms_is_moved():
    assert emptiest_origin(np.array([[[0.25, 0.75, 0.5]]])) == pytest.approx([0.7505, 0.2505, 0.0005], abs=1e-3)


@pytest.mark.parametrize("shift", ["x", [0, 1], [0, 0, "a"], [0, 0, float("nan")], 0.5, {"a": 1}])
def test_other_values_are_refused_in_one_line(tiny, shift):
    with pytest.raises(CryinGANError, match=r"data\.shift=.*auto, or the new origin \[a,b,c\]"):
        origin_of(shift, np.zeros((1, 1, 3)))


def test_no_shift_and_a_whole_one_are_the_same():
    assert [origin_of(shift, np.zeros((1, 1, 3))) for shift in (None, [0, 0, 0], [1, -1, 2.0])] == [None] * 3


def written(fractional, path):
    """Structures whose coordinates, multiples of 1/1024 of 8 Angstrom, a file holds to the last bit."""
    write_structures(Crystals(np.round(fractional * 1024) / 1024, 8 * np.eye(3), SPECIES), path)
    return path


@pytest.fixture
def cut_file(tmp_path):
    """Atoms on all faces."""
    grid = np.array([[0, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]])
    return written((grid + np.random.default_rng(0).uniform(-0.05, 0.05, (24, 4, 3))) % 1, tmp_path / "cut.extxyz")


def trained(path, folder, *more):
    settings = [f"data.path={path}", f"run_dir={folder}", "logger=csv", *TINY, "trainer.max_epochs=2", *more]
    train(compose(*settings))
    return folder / "checkpoints/last.ckpt"


def test_a_shifted_training_is_that_of_a_file_shifted_by_hand_and_its_samples_go_back(tmp_path, cut_file):
    shift = [0.25, -0.25, 0.125]
    by_hand = written(read_structures(cut_file).fractional - shift, tmp_path / "moved.extxyz")
    ours = trained(cut_file, tmp_path / "ours", f"data.shift={shift}")
    theirs = trained(by_hand, tmp_path / "theirs")
    assert_same(ours, theirs)
    expected = load_model(theirs).sample(5, seed=2).fractional + shift
    found = sample_file(ours, tmp_path / "out")
    np.testing.assert_allclose(np.round(found - expected), found - expected, atol=1e-9)
    kept, other = (
        read_structures(folder / "samples/epoch_000002.extxyz", closest=0, not_finite=True).fractional
        for folder in (tmp_path / "ours", tmp_path / "theirs")
    )
    np.testing.assert_allclose((kept - other - shift + 0.5) % 1, 0.5, atol=1e-8)
    one, two = (list(csv.DictReader((tmp_path / name / "metrics.csv").open()))[-1] for name in ("ours", "theirs"))
    assert {key: float(value) for key, value in one.items()} == pytest.approx(
        {key: float(value) for key, value in two.items()}, rel=1e-5, abs=1e-6
    )


def sample_file(checkpoint, output):
    path = sample(entry.compose("sample", f"checkpoint={checkpoint}", "n=5", "seed=2", f"output={output}"))
    return read_structures(path, closest=0, not_finite=True).fractional


def test_a_shifted_run_resumes_exactly_and_only_with_its_shift(tmp_path, cut_file, caplog):
    whole = trained(cut_file, tmp_path / "whole", "data.shift=auto", "trainer.max_epochs=3")
    assert "faces" not in caplog.text
    part = trained(cut_file, tmp_path / "part", "data.shift=auto")
    origin = read_checkpoint(part)["hyper_parameters"]["shift"]
    assert origin == pytest.approx([0.25] * 3, abs=0.03) or all(0.2 < value % 0.5 < 0.3 for value in origin)
    for changed in (["data.shift=[0.1,0,0]"], []):
        with pytest.raises(CryinGANError, match=r"data\.shift is .* here and \[.*\] in the checkpoint"):
            trained(cut_file, tmp_path / "part", "trainer.max_epochs=3", *changed)
    trained(cut_file, tmp_path / "part", "data.shift=auto", "trainer.max_epochs=3")
    assert_same(whole, part)


def test_the_warning_of_atoms_on_faces_names_the_key(tmp_path, cut_file, caplog):
    trained(cut_file, tmp_path / "run", "trainer.max_epochs=1")
    assert "along a, b, c, which is hard to learn; data.shift=auto moves" in caplog.text
