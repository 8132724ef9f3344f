import csv
import json
import os
import signal
import time

import numpy as np
import pytest
from ase.io import read

from cryingan.checkpoints import read_checkpoint
from cryingan.errors import CryinGANError
from cryingan.potentials import load_potential
from cryingan.relax_worker import BackgroundRelaxer
from data.module import StructureData
from tests.conftest import TINY, compose
from tests.support import InterruptedRun, KillWorker
from tests.test_command import call
from tests.test_resume import assert_same
from tests.test_wandb import inspect
from train import train

RELAX = (
    "callbacks=relax",
    "potential=pair",
    "relax.backend=serial",
    "relax.fmax=0.1",
    "callbacks.relax.every_n_epochs=2",
    "callbacks.relax.n_samples=4",
    "callbacks.relax.pictures=0",
    "callbacks.relax.thresholds=[0,-0.49]",
)
EPOCH_2 = "inline/relaxed/epoch_000002"
KEYS = {f"relax/fraction_below_{name}" for name in ("0", "0_low", "0_high", "-0.49", "-0.49_low", "-0.49_high")}
KEYS |= {f"relax/{name}" for name in ("failed", "unconverged", "close_pairs", "steps")}
KEYS |= {f"relax/{name}" for name in ("energy", "energy_median", "energy_drop")}


def rows(run):
    with (run / "metrics.csv").open() as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def whole(structures_file, tmp_path_factory):
    """Run folders of the same training without relaxation, with it inline and in the background."""
    folder = tmp_path_factory.mktemp("whole")
    common = (f"data.path={structures_file}", "logger=csv", *TINY)
    train(compose(*common, f"run_dir={folder / 'off'}"))
    for mode in ("inline", "background"):
        train(compose(*common, f"run_dir={folder / mode}", *RELAX, f"callbacks.relax.mode={mode}"))
    return folder


def test_training_is_the_same_with_and_without(whole):
    last = "checkpoints/last.ckpt"
    assert_same(whole / "off" / last, whole / "inline" / last)
    assert_same(whole / "off" / last, whole / "background" / last)
    assert rows(whole / "off") == [
        {key: value for key, value in row.items() if key not in KEYS} for row in rows(whole / "inline")
    ]
    assert (whole / "inline/metrics.csv").read_bytes() == (whole / "background/metrics.csv").read_bytes()


def test_logged_values_are_those_of_the_relaxed_structures(whole, structures_file):
    run = whole / "background"
    assert [set(row) & KEYS for row in rows(run)] == [set(), KEYS, set(), KEYS]
    data = StructureData(structures_file, validation=0.25)
    zero = (load_potential("pair").evaluate(data.training.to_ase())[0] / 10).mean()
    for done, row in ((2, rows(run)[1]), (4, rows(run)[3])):
        relaxed = read(run / f"relaxed/epoch_00000{done}/relaxed.extxyz", ":")
        energies = np.array([atoms.get_potential_energy() / 10 - zero for atoms in relaxed])
        assert all(
            np.linalg.norm(load_potential("pair").evaluate([atoms])[1][0], axis=1).max() < 0.1 for atoms in relaxed
        )
        assert row["relax/energy"] == pytest.approx(energies.mean(), abs=1e-9)
        assert row["relax/energy_median"] == pytest.approx(np.median(energies), abs=1e-9)
        assert row["relax/fraction_below_-0.49"] == np.mean(energies <= -0.49)
        assert row["relax/fraction_below_-0.49_low"] <= row["relax/fraction_below_-0.49"]
        assert row["relax/failed"] == row["relax/unconverged"] == 0
    assert rows(run)[1]["relax/energy"] != rows(run)[3]["relax/energy"]


def test_samples_of_a_run_are_relaxed_as_the_run_did(whole, tmp_path):
    checkpoint = whole / "inline/checkpoints/best.ckpt"
    result = call("sample.py", f"checkpoint={checkpoint}", "n=3", "relax=true", "relax.fmax=0.1", f"output={tmp_path}")
    assert result.returncode == 0, result.stderr
    assert "3 samples relaxed" in result.stdout
    ours, runs = (json.loads((folder / "summary.json").read_text()) for folder in (tmp_path, whole / EPOCH_2))
    for key in ("unit", "zero_ev_per_atom", "potential_hash"):
        assert ours[key] == runs[key]
    assert {"samples.extxyz", "repaired.extxyz", "relaxed.extxyz", "relax.csv", "energies.png", "manifest.json"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_best_is_the_epoch_with_the_highest_fraction(whole):
    fractions = {epoch: rows(whole / "background")[epoch]["relax/fraction_below_0"] for epoch in (1, 3)}
    best = max(fractions, key=fractions.get)
    for mode in ("inline", "background"):
        checkpoints = whole / mode / "checkpoints"
        assert read_checkpoint(checkpoints / "best.ckpt")["epoch"] == best
        assert not list(checkpoints.glob("candidates/*"))


def test_a_killed_worker_is_started_again(tiny, tmp_path, capfd):
    kill = "+callbacks.kill={_target_: tests.support.KillWorker}"
    many = ("callbacks.relax.n_samples=40", "relax.fmax=0.02", "relax.backend=loky", "relax.processes=2")
    train(tiny(*RELAX, *many, kill))
    said = capfd.readouterr().out
    assert said.count("was killed by SIGKILL in epoch_000002 and is started again") == 1
    assert "epoch 4/4" in said
    with pytest.raises(ProcessLookupError):
        os.killpg(KillWorker.killed, 0)  # nor does what it had started go on
    killed = rows(tmp_path / "run")
    train(tiny(*RELAX, *many, "callbacks.relax.mode=inline", f"run_dir={tmp_path / 'inline'}"))
    assert killed == rows(tmp_path / "inline")


def test_an_evaluation_that_kills_every_worker_is_given_up(tiny, tmp_path, capfd):
    deadly = ("potential=ase", "potential.calculator=tests.deadly.DeadlyCalculator")
    train(tiny(*RELAX, *deadly, "callbacks.relax.every_n_epochs=1", "trainer.max_epochs=2"))
    said = capfd.readouterr().out
    assert said.count("ended with exit code 3 in epoch_000001 and is started again") == 2
    assert "epoch_000001 is given up: the relaxation process ended with exit code 3, 3 times there" in said
    assert "relax/failed" not in rows(tmp_path / "run")[0]
    assert "epoch_000002 is given up" in said


@pytest.mark.parametrize("mode", ["inline", "background"])
def test_an_evaluation_that_was_cut_off_is_finished(tiny, tmp_path, whole, mode):
    run = tmp_path / "run"
    settings = (*RELAX, f"callbacks.relax.mode={mode}")
    with pytest.raises(InterruptedRun):
        train(tiny(*settings, "+callbacks.stop={_target_: tests.support.StopAfter, epoch: 2}"))
    cut_off(run, 1)
    train(tiny(*settings))
    assert (run / "metrics.csv").read_bytes() == (whole / "inline/metrics.csv").read_bytes()
    table = run / "relaxed/epoch_000004/energies.csv"
    before = table.read_bytes()
    cut_off(run, 3)
    train(tiny(*settings))  # training was over
    assert (run / "metrics.csv").read_bytes() == (whole / "inline/metrics.csv").read_bytes()
    assert table.read_bytes() == before


def cut_off(run, epoch):
    """Leave a folder as a kill does in the middle of an evaluation."""
    folder = run / f"relaxed/epoch_{epoch + 1:06d}"
    for path in folder.glob("*"):
        if path.name not in ("samples.extxyz", "relax.json", "relax.csv", "relaxed.extxyz"):
            path.unlink()
    if (folder / "relax.csv").exists():
        lines = (folder / "relax.csv").read_bytes().splitlines(keepends=True)
        (folder / "relax.csv").write_bytes(b"".join(lines[:-2]))
    with (run / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    for row in table:
        row.update(dict.fromkeys(KEYS & set(row) if int(row["epoch"]) == epoch else (), ""))
    with (run / "metrics.csv").open("w") as file:
        writer = csv.DictWriter(file, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def test_no_process_outlives_a_run_that_failed(tiny, monkeypatch):
    made = []
    start = BackgroundRelaxer._start
    monkeypatch.setattr(BackgroundRelaxer, "_start", lambda self: (start(self), made.append(self.process)))
    with pytest.raises(InterruptedRun):
        train(tiny(*RELAX, "+callbacks.stop={_target_: tests.support.StopAfter, epoch: 0}"))
    [process] = made
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_of_several_processes_the_first_relaxes(structures_file, tmp_path):
    arguments = [f"data.path={structures_file}", f"run_dir={tmp_path / 'run'}", "logger=csv", *TINY, *RELAX]
    result = call("train.py", *arguments, "trainer=ddp", "trainer.max_epochs=2")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("4 samples relaxed") == 1
    assert set(rows(tmp_path / "run")[1]) > KEYS
    assert read_checkpoint(tmp_path / "run/checkpoints/best.ckpt")["epoch"] == 1


def test_a_run_told_to_end_does_not_wait(tiny, tmp_path, monkeypatch, capfd):
    slow = ("callbacks.relax.n_samples=400", "relax.fmax=1e-9", "trainer.max_epochs=1")
    wait = BackgroundRelaxer.wait
    monkeypatch.setattr(
        BackgroundRelaxer, "wait", lambda self, stop: os.kill(os.getpid(), signal.SIGTERM) or wait(self, stop)
    )
    start = time.monotonic()
    train(tiny(*RELAX, *slow))
    assert time.monotonic() - start < 20
    assert "terminated before the relaxation of epoch_000001" in capfd.readouterr().out
    assert "relax/failed" not in rows(tmp_path / "run")[0]


def test_time_budget(tiny, tmp_path):
    train(tiny(*RELAX, "callbacks.relax.mode=inline", "relax.time_budget=0", "trainer.max_epochs=1"))
    [row] = rows(tmp_path / "run")
    assert row["relax/unconverged"] == 1
    assert row["relax/fraction_below_0"] == 0
    assert "relax/energy" not in row


@pytest.mark.parametrize("mode", ["inline", "background"])
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("~potential",), "potential=m3gnet"),
        (("potential.radii={Li: 1.0}",), "does not know Cl, O"),
        (("callbacks.relax.n_samples=0",), "n_samples"),
        (("potential=ase", "potential.calculator=no.such"), "no.such"),
    ],
)
def test_mistakes_are_told_before_training(tiny, tmp_path, mode, overrides, said):
    with pytest.raises(CryinGANError, match=said):
        train(tiny(*RELAX, f"callbacks.relax.mode={mode}", *overrides))
    assert not (tmp_path / "run/checkpoints").exists()


def test_an_evaluation_that_cannot_be_done_does_not_stop_training(tiny, tmp_path, capsys):
    folder = tmp_path / "run/relaxed/epoch_000001"
    for mode in ("inline", "background"):
        train(tiny(*RELAX, f"callbacks.relax.mode={mode}", "trainer.max_epochs=1", f"run_dir={tmp_path / mode}"))
        folder = tmp_path / mode / "relaxed/epoch_000001"
        cut_off(tmp_path / mode, 0)
        train(tiny(*RELAX, f"callbacks.relax.mode={mode}", "relax.fmax=0.2", f"run_dir={tmp_path / mode}"))
        assert "epoch_000001 is given up" in (said := capsys.readouterr().out)
        assert "other settings" in said
        assert "epoch 4/4" in said
        assert (folder / "error.txt").exists()
        assert "relax/failed" not in rows(tmp_path / mode)[0]
        assert "relax/failed" in rows(tmp_path / mode)[3]


def test_wandb_gets_values_table_and_structures_under_their_epoch(tiny, tmp_path):
    train(tiny(*RELAX, "logger=wandb", "callbacks.relax.n_samples=2", "callbacks.relax.pictures=1"))
    (folder,) = (tmp_path / "run/wandb").glob("offline-run-*")
    records = [json.loads(line) for line in inspect(folder, "--json").splitlines()]
    media = {"relax/energies", "relax/samples", "relax/structures", "relax/molecules_before", "relax/molecules_after"}
    seen = {key: [] for key in ("relax/failed", *media)}
    for record in records:
        values = record.get("history", {}).get("item", {})
        for key in seen.keys() & {name.removesuffix("._type") for name in values}:
            seen[key].append(values["epoch"])
    assert seen == {key: [1, 3] for key in seen}
    [table, _] = sorted((folder / "files/media/table/relax").glob("*.json"))
    content = json.loads(table.read_text())
    assert content["columns"][-1] == "picture"
    assert [row[-1] for row in content["data"]] == ["Image"] * 2
