"""The models that come with the project, as their users call them."""

import json

import pytest
import torch

from cryingan.metrics.close_pairs import close_pairs
from cryingan.structures.files import read_structures
from tests.support.command import call
from tests.support.paths import ROOT

MODELS = sorted((ROOT / "pretrained").iterdir())
RELAXED = [folder for folder in MODELS if folder.name.startswith("li2o_licl")]  # 264 atoms take too long


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where the energies of training structures are kept, which models of one set share."""
    return tmp_path_factory.mktemp("cache")


def set_of(folder):
    """The data set of a model, named after it and, where it is no CryinGAN, after the model."""
    return folder.name.removesuffix("_flow").removesuffix("_cdvae")


@pytest.mark.parametrize("folder", MODELS, ids=[folder.name for folder in MODELS])
def test_it_samples_structures_of_its_set_wherever_one_is(folder, tmp_path):
    n, quick = (2, ["sampler.steps_per_level=4"]) if folder.name == "silicon_cdvae" else (8, [])
    given = [f"checkpoint={folder}", f"n={n}", *quick, f"output={tmp_path / 'out'}"]
    ended = call("sample.py", *given, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    samples = read_structures(tmp_path / "out" / "samples.extxyz", closest=0)
    [path] = ROOT.glob(f"data/**/{set_of(folder)}.extxyz.gz")
    assert (len(samples), samples.species) == (n, read_structures(path).species)
    pairs = close_pairs(torch.from_numpy(samples.fractional), torch.from_numpy(samples.cell)).double().mean()
    assert pairs / len(samples.species) < 3 / 77


@pytest.mark.parametrize("folder", RELAXED, ids=[folder.name for folder in RELAXED])
def test_its_samples_relax_with_the_potential_of_its_set_wherever_one_is(folder, tmp_path, cache):
    given = ["n=8", "relax=true", "relax.max_steps=2", "relax.backend=serial", "pictures=0", f"cache={cache}"]
    ended = call("sample.py", f"checkpoint={folder}", *given, f"output={tmp_path / 'out'}", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    summary = json.loads((tmp_path / "out" / "relaxed.json").read_text())
    assert summary["potential"] == f"M3GNet-{set_of(folder).removesuffix('_low')}"  # one of both sets of this interface
    assert (summary["samples"], summary["values"]["relax/failed"]) == (8, 0.0)


@pytest.mark.parametrize("folder", MODELS, ids=[folder.name for folder in MODELS])
def test_it_is_small_and_says_what_it_is(folder):
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 3e6
    assert f"checkpoint=pretrained/{folder.name}" in (folder / "README.md").read_text()
    assert not [line for line in (folder / "config.yaml").read_text().splitlines() if ": /" in line]
