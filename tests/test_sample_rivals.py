"""Samples of the rivals: `sample.py rival=random` and `rival=linear`."""

import json

import numpy as np
import pytest
from omegaconf.errors import OmegaConfBaseException

from cryingan.errors import CryinGANError
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures
from cryingan.structures.sources import source_hash
from data.module import StructureData
from sample import sample
from tests.conftest import compose as compose_training
from tests.support.sampling import compose
from train import train

PAIR = ("potential=pair", "potential.radii={Li: 0.6, O: 1.0, Cl: 1.2}", "relax.backend=serial", "relax.max_steps=2")


def test_random_structures_are_written_as_samples_of_a_model(structures_file, tmp_path, capsys):
    overrides = ("rival=random", f"training={structures_file}", "n=5")
    paths = [sample(compose(*overrides, f"output={tmp_path / name}")) for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    data = StructureData(structures_file)
    assert read_structures(paths[0], closest=0).same_as(data.random.draw(5, 1))
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    assert (manifest["n"], manifest["seed"], manifest["source"]) == (5, 1, structures_file.name)
    assert manifest["source_sha256"] == source_hash(structures_file)
    assert manifest["settings"] == {"rival": "random", "structures": data.random.title}
    assert f"5 structures in {paths[0]}: {data.random.title} of {structures_file}" in capsys.readouterr().out


def test_a_set_of_the_project_is_named_as_in_training(tmp_path, capsys):
    path = sample(compose("rival=random", "data=li2o_licl", "n=2", f"output={tmp_path / 'out'}"))
    assert "random interfaces of" in capsys.readouterr().out
    assert read_structures(path).counts == {"Li": 46, "O": 15, "Cl": 16}


@pytest.mark.parametrize("shift", ["", "data.shift=[0.1,0.2,0.3]"])
def test_the_linear_rival_is_the_linear_model(crystal_file, tmp_path, shift):
    keys = (f"data.path={crystal_file}", *filter(None, [shift]))
    run = (
        "experiment=linear",
        f"run_dir={tmp_path / 'run'}",
        "logger=[]",
        "~callbacks.structures",
        "~callbacks.quality",
    )
    train(compose_training(*run, *keys))
    trained = sample(compose(f"checkpoint={tmp_path / 'run'}", "n=4", f"output={tmp_path / 'trained'}"))
    rival = sample(compose("rival=linear", "data=li2o_licl", *keys, "n=4", f"output={tmp_path / 'rival'}"))
    assert rival.read_bytes() == trained.read_bytes()
    keys = (*keys, "n=4", "temperature=0.5")
    cold = sample(compose("rival=linear", "data=li2o_licl", *keys, f"output={tmp_path / 'cold'}"))
    assert cold.read_bytes() != rival.read_bytes()
    assert json.loads((tmp_path / "cold/manifest.json").read_text())["settings"]["temperature"] == 0.5


def test_they_relax(structures_file, tmp_path, capsys):
    keys = ("rival=random", f"training={structures_file}", "n=2", "n_training=0", "relax=true", *PAIR)
    sample(compose(*keys, f"output={tmp_path / 'out'}", "pictures=0"))
    assert (tmp_path / "out/relaxed.json").exists()
    assert "relaxing as the run did" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("rival=random",), "rival=random needs data=NAME, such as data=li2o_licl, or training=FILE"),
        (("rival=random", "data=li2o_licl", "checkpoint=a"), "rival=random has no checkpoint: give one of them"),
        (("rival=linear", "data=li2o_licl", "structures=a", "relax=true"), "rival=linear has no structures"),
        (("data=li2o_licl", "checkpoint=a"), "data=... belongs to rival=random | linear | diamond"),
        (("rival=random", "data=li2o_licl", "+sampler.steps=3", "n=1"), "sampler.steps: rival=random has no such key"),
        (
            ("rival=random", "data=li2o_licl", "temperature=0.5"),
            "temperature=0.5: random structures have no temperature",
        ),
        (("rival=diamond", "data=li2o_licl"), "rival=diamond is for silicon; the set holds Li, O, Cl"),
        (
            ("rival=diamond", "data=li2o_licl", "temperature=2"),
            "temperature=2.0: displaced crystals have no temperature",
        ),
        (("rival=random", "training=nowhere.extxyz"), "nowhere.extxyz"),
        (("rival=random", "data=dismai_lsc_lco"), "data.path"),
    ],
)
def test_what_is_no_rival(overrides, said, tmp_path):
    with pytest.raises((CryinGANError, OmegaConfBaseException), match=said):
        sample(compose(*overrides, f"output={tmp_path / 'out'}"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("rival=random", "batch_size=2"), "batch_size: rival=random has no use for it; leave it out"),
        (("rival=linear", "device=cpu"), "device: rival=linear has no use for it"),
        (("rival=linear", "best_of=4"), "best_of: rival=linear has no use for it"),
        (("rival=random", "+sampler.steps=3"), "sampler: rival=random has no use for it"),
        (("rival=random", "pictures=0"), "pictures is for samples that are relaxed: add relax=true"),
        (("rival=random", "potential=pair", "potential.radii={Li: 1}"), "potential is for samples that are relaxed"),
        (("structures=a.extxyz", "relax=true", "n=3"), "n: structures=a.extxyz has no use for it"),
        (("checkpoint=a.ckpt", "reference=a.extxyz"), "reference belongs to upstream=PATH"),
        (("checkpoint=a.ckpt", "+sampler.temperature=0.5"), "write temperature="),
        (("checkpoint=a.ckpt", "+sampler.best_of=2"), "write best_of="),
        (("checkpoint=a.ckpt", "training=a.extxyz"), "training=FILE is what samples are compared with: add relax=true"),
    ],
)
def test_keys_that_would_change_nothing_are_refused(overrides, said, tmp_path, monkeypatch):
    keys = {override.lstrip("+").partition("=")[0]: "" for override in overrides}
    monkeypatch.setattr("sample.given", lambda: keys)
    with pytest.raises(CryinGANError, match=said):
        sample(compose(*overrides, f"output={tmp_path / 'out'}"))
    assert not (tmp_path / "out").exists()


def test_a_glass_has_no_linear_rival(tmp_path):
    places = np.random.default_rng(0).random((8, 6, 3))
    write_structures(Crystals(places, np.diag([9.0, 9.0, 12.0]), ("Si",) * 6), tmp_path / "glass.extxyz")
    with pytest.raises(CryinGANError, match="the linear model needs structures that share most"):
        sample(compose("rival=linear", f"training={tmp_path / 'glass.extxyz'}", f"output={tmp_path / 'out'}"))
