import os
import signal
from functools import partial

os.environ.setdefault("WANDB_MODE", "offline")

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from configs import entry
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures

torch.set_num_threads(1)  # the number of threads is part of what bitwise equality needs

TINY = (
    "model=paper",
    "model.latent_dim=4",
    "model.channels=4",
    "model.generator_widths=[6,6,6]",
    "model.discriminator_widths=[8,8,8]",
    "model.head_widths=[12,8]",
    "data.batch_size=4",
    "data.validation=0.25",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=4",
    "trainer.check_val_every_n_epoch=1",
    "callbacks.quality.every_n_epochs=1",
    "callbacks.quality.n=4",
    "callbacks.structures.every_n_epochs=2",
    "callbacks.structures.n=2",
    "callbacks.structures.pictures=0",
    "~callbacks.summary",
)


@pytest.fixture
def time_limit():
    """Ends a test that hangs, as one with killed processes may: so many seconds from the call of this function on."""

    def too_long(*_: object) -> None:
        pytest.fail("the test hangs")

    before = signal.signal(signal.SIGALRM, too_long)
    yield signal.alarm
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def random_crystals(structures: int, species: tuple[str, ...], cell: np.ndarray, seed: int = 0) -> Crystals:
    """Rattled grid points, so that no two atoms come near each other."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(len(species) ** (1 / 3)))
    grid = np.indices((side,) * 3).reshape(3, -1).T[: len(species)]
    fractional = (grid + 0.5 + rng.uniform(-0.2, 0.2, (structures, len(species), 3))) / side
    return Crystals(fractional, cell, species)


@pytest.fixture(scope="session")
def structures_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 structures of 10 atoms in a triclinic cell; the species are not contiguous."""
    cell = np.array([[6.0, 0.0, 0.0], [1.0, 7.0, 0.0], [0.5, -0.8, 8.0]])
    path = tmp_path_factory.mktemp("structures") / "tiny.extxyz"
    write_structures(random_crystals(24, ("Li", "O", "Li", "Cl", "O", "O", "Li", "Cl", "Li", "O"), cell), path)
    return path


compose = partial(entry.compose, "train")
"""The config that `python train.py OVERRIDES` composes."""


@pytest.fixture(scope="session")
def crystal_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty structures that scatter about one, as those of an interface do."""
    random = np.random.default_rng(0)
    fractional = random.random((1, 6, 3)) + random.normal(scale=0.02, size=(20, 6, 3))
    path = tmp_path_factory.mktemp("crystal") / "crystal.extxyz"
    write_structures(Crystals(fractional, np.diag([6.0, 7.0, 8.0]), ("Li", "Cl", "Li", "O", "Cl", "Li")), path)
    return path


@pytest.fixture
def tiny(structures_file: Path, tmp_path: Path):
    """A function from overrides to the config of a run that takes a second."""

    def config(*overrides: str) -> DictConfig:
        return compose(f"data.path={structures_file}", f"run_dir={tmp_path / 'run'}", "logger=csv", *TINY, *overrides)

    return config


@pytest.fixture
def checkpoint(tiny, tmp_path: Path) -> Path:
    """A trained generator that spreads its atoms: readers of CIF files merge atoms that coincide."""
    from cryingan.storage.checkpoint import read_checkpoint
    from cryingan.training.checkpoints import load_model
    from train import train

    train(tiny("trainer.max_epochs=2"))
    path = tmp_path / "run/checkpoints/last.ckpt"
    content = read_checkpoint(path)
    logits = torch.logit(torch.from_numpy(load_model(path).sample(50, seed=0).fractional))
    content["state_dict"]["generator.layers.9.weight"] /= logits.std()
    torch.save(content, path)
    return path
