"""Samples of models that see differences of places alone stand where the training structures do."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from cryingan.geometry.point_group import point_group
from cryingan.models.anchor import Anchor
from cryingan.models.base import GenerativeModel
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures
from cryingan.structures.matching import displacements_from, matched_to
from cryingan.training.checkpoints import load_model
from tests.conftest import compose
from tests.support.small_models import OVERRIDES, checkpoint_of, small_model
from train import train

CELL = np.array([[6.0, 0, 0], [1.0, 7.0, 0], [0, 0.5, 8.0]])
SPECIES = ["Li", "Cl", "Li", "O", "Cl", "Li"]
PLACES = np.random.default_rng(3).random((6, 3))


@dataclass
class Settings:
    seed: int = 1


class Anywhere(GenerativeModel):
    """Knows the structure, and not where it stands."""

    kind = "anywhere"
    settings_type = Settings
    translation_invariant = True

    def generate(self, sources):
        grouped = torch.from_numpy(PLACES)[self.grouping]
        return torch.stack([grouped + torch.rand(3, generator=source, dtype=torch.float64) for source in sources]) % 1


class Turned(Anywhere):
    """Nor does it know how the structure is turned or mirrored."""

    rotation_invariant = True

    def generate(self, sources):
        operations = torch.from_numpy(point_group(CELL)).double()
        chosen = torch.stack([torch.randint(len(operations), (), generator=source) for source in sources])
        return super().generate(sources) @ operations[chosen] % 1


def model(shift=None):
    return Anywhere(CELL.tolist(), SPECIES, Settings(), shift)


def training(net, scatter=0.05):
    noise = np.random.default_rng(0).normal(scale=scatter, size=(40, 6, 3)) @ np.linalg.inv(CELL)
    return Crystals(PLACES + noise - (net.hparams.shift or 0), CELL, SPECIES).reordered(net.grouping)


@pytest.mark.parametrize("shift", [None, [0.3, 0.0, 0.7]])
def test_samples_stand_where_training_structures_do_in_the_order_of_the_file(shift):
    net = model(shift)
    net.anchor.fit(training(net))
    samples = net.sample(12, seed=1)
    apart = samples.fractional - PLACES
    assert samples.species == tuple(SPECIES)
    assert np.abs((apart - np.rint(apart)) @ CELL).max() < 0.05
    assert net.sample(5, seed=1, batch_size=2).same_as(samples[:5])


def test_samples_that_are_mirrored_are_mirrored_back():
    net = Turned(CELL.tolist(), SPECIES, Settings())
    net.anchor.fit(training(net))
    apart = net.sample(12, seed=1).fractional - PLACES
    assert np.abs((apart - np.rint(apart)) @ CELL).max() < 0.05
    net.anchor.turns = False
    apart = net.sample(12, seed=1).fractional - PLACES
    misplaced = np.abs((apart - np.rint(apart)) @ CELL).max(axis=(1, 2)) > 0.5
    assert 0 < misplaced.sum() < 12


def test_progress_is_that_of_samples_at_their_sites(monkeypatch):
    """To find the sites takes longer than a sample of some models."""
    net, seen = model(), []
    net.anchor.fit(training(net))

    def watched(samples, *_):
        seen.extend(samples)
        return seen

    monkeypatch.setattr("cryingan.models.base.reported", watched)
    samples = net.sample(5, seed=1, batch_size=2, progress=True)
    drawn = np.concatenate([batch.fractional for _, batch in seen])
    assert net.as_in_batches(samples).same_as(Crystals(drawn, CELL, net.grouped_species))


def test_structures_without_common_sites_stay():
    net = model()
    net.anchor.fit(training(net, scatter=3.0))
    assert net.anchor.fitted
    assert net.sample(5, seed=1).same_as(model().sample(5, seed=1))


@pytest.mark.parametrize("kind", ["diffcsp", "cgcnn"])
def test_the_anchor_travels_in_checkpoints_and_older_ones_have_none(tmp_path, caplog, kind):
    net = small_model(kind)
    older = checkpoint_of(net, tmp_path / "older.ckpt")
    content = read_checkpoint(older)
    content["state_dict"] = {k: v for k, v in content["state_dict"].items() if not k.startswith("anchor.")}
    torch.save(content, older)
    scattered = np.random.default_rng(0).normal(scale=0.01, size=(10, 4, 3)) + PLACES[:4]
    net.anchor.fit(Crystals(scattered, net.hparams.cell, net.grouped_species))
    newer = checkpoint_of(net, tmp_path / "newer.ckpt")
    assert load_model(newer).sample(3, seed=1).same_as(net.sample(3, seed=1))
    assert not caplog.text
    assert not load_model(older).anchor.fitted
    assert "older.ckpt does not hold where its training structures stand" in caplog.text


@pytest.mark.parametrize("model", ["diffcsp", "cgcnn", "flow"])
def test_a_run_from_other_weights_finds_its_own_sites(model, crystal_file, tmp_path):
    quick = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "logger=csv", "threads=1", "~callbacks.quality"]
    quick += [*OVERRIDES[model], *(["model.prior=linear"] if model == "flow" else [])]
    train(compose(f"data.path={crystal_file}", *quick, f"run_dir={tmp_path / 'first'}"))
    crystals = read_structures(crystal_file)
    moved = tmp_path / "moved.extxyz"
    write_structures(Crystals(crystals.fractional + 0.25, crystals.cell, crystals.species), moved)
    train(compose(f"data.path={moved}", *quick, f"init={tmp_path / 'first'}", f"run_dir={tmp_path / 'second'}"))
    name = "components.sites" if model == "flow" else "anchor.sites"
    first, second = (
        read_checkpoint(tmp_path / run / "checkpoints/last.ckpt")["state_dict"][name] for run in ("first", "second")
    )
    apart = second - first - 0.25
    assert (apart - apart.round()).abs().max() < 0.01


@pytest.mark.parametrize("model", ["diffcsp", "cgcnn", "cdvae"])
def test_a_trained_model_has_sites_of_its_set(model, crystal_file, tmp_path):
    quick = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "logger=csv", "threads=1", "~callbacks.quality"]
    train(compose(f"data.path={crystal_file}", *OVERRIDES[model], *quick, f"run_dir={tmp_path}"))
    anchor, crystals = load_model(tmp_path).anchor, read_structures(crystal_file)
    assert isinstance(anchor, Anchor)
    grouped = crystals.reordered(crystals.grouping)
    sites = Crystals(anchor.sites.numpy()[None], crystals.cell, grouped.species)
    apart = displacements_from(sites, matched_to(sites, grouped))
    assert np.sqrt((apart**2).sum(axis=-1).mean()) < 2 * anchor.scatter.mean()
