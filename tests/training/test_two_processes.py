"""A training in two processes, once for all that it shows: starting the second one takes most of the time."""

import torch

from cryingan.storage.checkpoint import read_checkpoint
from cryingan.training.checkpoints import load_model
from tests.conftest import TINY
from tests.support.command import call
from tests.support.paths import ROOT
from tests.support.relaxed_runs import KEYS, RELAX, rows

PROGRAM = """
import sys, torch, train
from pathlib import Path
from callbacks.progress import Progress

def write(self, trainer, module):
    state = {k: v for k, v in module.state_dict().items() if "means" not in k and "running" not in k}
    torch.save(state, Path(__file__).with_name(f"rank{trainer.global_rank}.pt"))

Progress.on_train_end = write
train.run("train", train.train)
"""
"""train.py, of which every process writes its weights."""


def test_two_processes_end_with_equal_weights_and_the_first_relaxes(structures_file, tmp_path, monkeypatch):
    script, run = tmp_path / "ranks.py", tmp_path / "run"
    script.write_text(PROGRAM)
    arguments = [f"data.path={structures_file}", f"run_dir={run}", "logger=wandb", "trainer=ddp", *TINY, *RELAX]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the second process
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    ended = call(script, *arguments, "trainer.max_epochs=2")
    assert ended.returncode == 0, ended.stderr

    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    fresh = load_model(run / "checkpoints/last.ckpt")
    assert torch.equal(fresh.generator.latent.weight, first["generator.latent.weight"])
    assert len(list(run.glob("wandb/offline-run-*"))) == 1

    assert ended.stdout.count("4 samples: ") == 1
    assert ended.stdout.count("potential=pair is only for trying things out: its energies mean nothing\n") == 1
    assert set(rows(run)[1]) > KEYS
    assert read_checkpoint(run / "checkpoints/best.ckpt")["epoch"] == 1
