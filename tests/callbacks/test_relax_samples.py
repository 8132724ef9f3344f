import csv
import json
import os
import shutil
import signal
import time

import numpy as np
import pytest
from ase.io import read

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.relax import relax
from cryingan.samples import relaxer as relaxed_samples
from cryingan.samples.background import BackgroundRelaxer
from cryingan.storage.checkpoint import read_checkpoint
from data.module import StructureData
from tests.conftest import TINY, compose
from tests.support.callbacks import InterruptedRun, KillWorker
from tests.support.checkpoints import assert_same
from tests.support.command import call
from tests.support.relaxed_runs import AVERAGES, KEYS, RELAX, rows
from train import train

SUMMARY = "+callbacks.summary={_target_: callbacks.summary.Summary, run_dir: ${run_dir}}"
# a worker has something left to do when it is killed
MANY = ("callbacks.relax.n_samples=40", "relax.fmax=0.02", "relax.backend=loky", "relax.processes=2")


def test_training_is_the_same_with_and_without(whole):
    for name in ("last.ckpt", *(f"epoch_00000{done}.ckpt" for done in (1, 2, 3, 4))):
        for mode in ("inline", "background"):
            assert_same(whole / "off/checkpoints" / name, whole / mode / "checkpoints" / name)
    assert any(key.startswith("train/") for key in rows(whole / "off")[0])
    assert rows(whole / "off") == [
        {key: value for key, value in row.items() if key not in KEYS} for row in rows(whole / "inline")
    ]
    assert (whole / "inline/metrics.csv").read_bytes() == (whole / "background/metrics.csv").read_bytes()


def test_logged_values_are_those_of_the_relaxed_structures(whole, structures_file):
    run = whole / "background"
    assert [set(row) & KEYS for row in rows(run)] == [set(), KEYS, set(), KEYS]
    every = StructureData(structures_file, validation=0.25).crystals  # held-out ones, too
    chosen = every[np.random.default_rng(0).permutation(len(every))[:20]]
    zero = relax(chosen, load_potential("pair"), fmax=0.1, backend="serial").energy_final.mean() / 10
    for done, row in ((2, rows(run)[1]), (4, rows(run)[3])):
        relaxed = read(run / f"relaxed/epoch_00000{done}/relaxed.extxyz", ":")
        energies = np.array([atoms.get_potential_energy() / 10 - zero for atoms in relaxed])
        assert all(
            np.linalg.norm(load_potential("pair").evaluate([atoms])[1][0], axis=1).max() < 0.1 for atoms in relaxed
        )
        assert row["relax/energy"] == pytest.approx(energies.mean(), abs=1e-9)
        assert row["relax/energy_median"] == pytest.approx(np.median(energies), abs=1e-9)
        assert row["relax/fraction_below_minus_0_49"] == np.mean(energies <= -0.49)
        assert row["relax/fraction_below_minus_0_49_low"] <= row["relax/fraction_below_minus_0_49"]
        assert row["relax/failed"] == row["relax/unconverged"] == 0
        assert all(row[f"relax/{name}_low"] < row[f"relax/{name}_high"] for name in AVERAGES)
    assert rows(run)[1]["relax/energy"] != rows(run)[3]["relax/energy"]


def test_samples_of_a_run_are_relaxed_as_the_run_did(whole, tmp_path):
    checkpoint = whole / "inline/checkpoints/best.ckpt"
    arguments = ("n=3", "relax=true", "relax.max_steps=900", "pictures=0", f"output={tmp_path}")
    result = call("sample.py", f"checkpoint={checkpoint}", *arguments)
    assert result.returncode == 0, result.stderr
    assert "3 samples: " in result.stdout
    assert (
        "relaxing as the run did, unless the command line says otherwise: optimizer=fire, fmax=0.1, " in result.stdout
    )
    assert "thresholds=[0, -0.49]" in result.stdout
    settings = [
        json.loads((f / "relax.json").read_text())["settings"]
        for f in (tmp_path, whole / "inline/relaxed/epoch_000002")
    ]
    assert settings[0] == {**settings[1], "max_steps": 900}
    ours, runs = (
        json.loads((folder / "relaxed.json").read_text())
        for folder in (tmp_path, whole / "inline/relaxed/epoch_000002")
    )
    for key in ("unit", "zero_ev_per_atom", "potential_hash"):
        assert ours[key] == runs[key]
    assert {"samples.extxyz", "repaired.extxyz", "relaxed.extxyz", "relax.csv", "energies.png", "manifest.json"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_best_is_the_epoch_with_most_distinct_minima_below_zero(whole):
    """The default for structures that share no sites."""
    shares = {epoch: rows(whole / "background")[epoch]["relax/distinct_below_0"] for epoch in (1, 3)}
    best = max(shares, key=lambda epoch: (shares[epoch], epoch))
    for mode in ("inline", "background"):
        checkpoints = whole / mode / "checkpoints"
        assert read_checkpoint(checkpoints / "best.ckpt")["epoch"] == best
        assert not list(checkpoints.glob("candidates/*"))


@pytest.fixture(scope="module")
def undisturbed(structures_file, tmp_path_factory):
    """The rows of a training with MANY in which nothing is killed."""
    run = tmp_path_factory.mktemp("undisturbed")
    given = (f"data.path={structures_file}", f"run_dir={run}", "logger=csv", *TINY, *RELAX, *MANY)
    train(compose(*given, "callbacks.relax.mode=inline"))
    return rows(run)


@pytest.mark.parametrize("of_pool", [False, True])
def test_a_killed_worker_is_started_again(tiny, tmp_path, capfd, time_limit, undisturbed, of_pool):
    time_limit(240)
    kill = f"+callbacks.kill={{_target_: tests.support.callbacks.KillWorker, of_pool: {of_pool}}}"
    train(tiny(*RELAX, *MANY, kill))
    said = capfd.readouterr().out
    if of_pool:
        assert said.count("a worker process died, perhaps for lack of memory; continuing with") == 1
    assert said.count("was killed by SIGKILL in epoch_000002 and is started again") == (not of_pool)
    assert "given up" not in said
    assert "epoch 4/4" in said
    with pytest.raises(ProcessLookupError):
        (os.kill if of_pool else os.killpg)(KillWorker.killed, 0)  # nor does what it had started continue
    assert rows(tmp_path / "run") == undisturbed


@pytest.mark.usefixtures("copied_worker")
def test_an_evaluation_that_kills_every_worker_is_given_up(tiny, tmp_path, capfd, time_limit):
    time_limit(240)
    deadly = ("potential=ase", "potential.calculator=tests.support.deadly.DeadlyCalculator")
    train(tiny(*RELAX, *deadly, "callbacks.relax.every_n_epochs=1", "trainer.max_epochs=2"))
    said = capfd.readouterr().out
    assert said.count("ended with exit code 3 in epoch_000001 and is started again") == 2
    assert "epoch_000001 is given up: the relaxation process ended with exit code 3, 3 times there" in said
    assert "relax/failed" not in rows(tmp_path / "run")[0]
    assert "epoch_000002 is given up" in said


def test_no_process_outlives_a_run_that_failed(tiny, monkeypatch):
    made = []
    start = BackgroundRelaxer._start
    monkeypatch.setattr(BackgroundRelaxer, "_start", lambda self: (start(self), made.append(self.process)))
    with pytest.raises(InterruptedRun):
        train(tiny(*RELAX, "+callbacks.stop={_target_: tests.support.callbacks.StopAfter, epoch: 0}"))
    [process] = made
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_terminated_run_does_not_wait(tiny, tmp_path, monkeypatch, capfd):
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


@pytest.mark.usefixtures("undrawn")
def test_time_budget(tiny, tmp_path, capsys):
    train(tiny(*RELAX, "callbacks.relax.mode=inline", "relax.time_budget=1e-9", "trainer.max_epochs=1", SUMMARY))
    [row] = rows(tmp_path / "run")
    assert row["relax/unconverged"] == row["relax/out_of_time"] == 1
    said = "4 of 4 ran out of relax.time_budget=1e-09 s"
    line, table = capsys.readouterr().out.split("4 samples after 1 epochs")
    assert f"100.0% unconverged, of which {said}" in line
    named = "share that ran out of relax.time_budget: counted as high"
    assert named in " ".join(table.replace("│", " ").split()), "a table without this tells of a bad model"
    assert row["relax/fraction_below_0"] == 0
    assert "relax/energy" not in row


@pytest.mark.parametrize("mode", ["inline", "background"])
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("~potential",), "potential=m3gnet"),
        (("potential.radii={Li: 1.0}",), "does not know Cl, O"),
        (("callbacks.relax.n_samples=0",), "n_samples"),
        (("callbacks.relax.temperature=0",), "callbacks.relax.temperature=0: it must be a number greater than 0"),
        (("callbacks.relax.thresholds=[low]",), "must be numbers"),
        (("callbacks.relax.thresholds=-0.2",), "must be a list"),
        (("relax.time_budget=-5",), "time_budget=-5"),
        (("potential=ase", "potential.calculator=no.such"), "no.such"),
    ],
)
def test_mistakes_are_reported_before_training(tiny, tmp_path, mode, overrides, said):
    with pytest.raises(CryinGANError, match=said):
        train(tiny(*RELAX, f"callbacks.relax.mode={mode}", *overrides))
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.usefixtures("undrawn")
def test_an_evaluation_that_fails_unexpectedly_does_not_end_training(tiny, tmp_path, monkeypatch, capsys):
    draw = relaxed_samples.draw
    monkeypatch.setattr(relaxed_samples, "draw", lambda *_, **__: 1 / 0)
    settings = (*RELAX, "callbacks.relax.mode=inline", "callbacks.relax.every_n_epochs=1", "trainer.max_epochs=2")
    train(tiny(*settings))
    error = tmp_path / "run/relaxed/epoch_000001/error.txt"
    [line, _] = [line for line in capsys.readouterr().out.splitlines() if "given up" in line]
    assert line == f"relaxation of epoch_000001 is given up: ZeroDivisionError: division by zero (see {error})"
    assert "Traceback" in error.read_text()
    assert not [row for row in rows(tmp_path / "run") if "relax/failed" in row]
    assert not list((tmp_path / "run/checkpoints").glob("candidates/*"))
    monkeypatch.setattr(relaxed_samples, "draw", draw)
    train(tiny(*settings))
    assert all(set(row) > KEYS for row in rows(tmp_path / "run"))
    assert not error.exists()


def test_the_worker_writes_errors_and_passes_warnings_on(tiny, tmp_path, capfd):
    (tmp_path / "file").touch()
    unwritable = f"callbacks.relax.cache={tmp_path / 'file/cache'}"
    moody = ("potential=ase", "potential.calculator=tests.support.deadly.BrokenCalculator")
    train(tiny(*RELAX, *moody, unwritable, "trainer.max_epochs=2"))
    said = capfd.readouterr().out
    assert "computed again next time" in said
    assert "epoch_000002 is given up: TypeError: no such unit (see " in said
    assert "Traceback" not in said
    assert "Traceback" in (tmp_path / "run/relaxed/epoch_000002/error.txt").read_text()
    assert not list((tmp_path / "run/checkpoints").glob("candidates/*"))


def test_a_log_that_cannot_be_written_is_reported(tiny, tmp_path):
    (tmp_path / "run/relaxed/worker.log").mkdir(parents=True)
    with pytest.raises(CryinGANError, match=r"worker\.log cannot be written: Is a directory"):
        train(tiny(*RELAX, "callbacks.relax.mode=background", "resume=auto"))


@pytest.mark.usefixtures("copied_worker")
def test_the_untrained_generator_and_random_structures_stand_beside_what_was_learnt(
    tiny, tmp_path, structures_file, capsys
):
    data = tmp_path / "data.extxyz"
    shutil.copy(structures_file, data)
    potential = load_potential("pair").card
    cutoff = {"potential": potential.name, "hash": potential.hash, "energy_per_atom": 1e6, "random": "random.csv"}
    (tmp_path / "data.card.yaml").write_text(json.dumps({"cutoffs": [cutoff]}))
    (tmp_path / "random.csv").write_text("number,energy_per_atom\n0,0\n1,2e6\n2,\n3,-1e7\n")
    thresholds = "callbacks.relax.thresholds=[0,-5e6]"
    arguments = (*RELAX, f"data.path={data}", SUMMARY, thresholds, "callbacks.relax.before=true")
    train(tiny(*arguments))
    run, key = tmp_path / "run", "relax/fraction_below_0"
    text = capsys.readouterr().out
    assert "before training: 4 samples: " in text
    assert "(random structures: 50.0%, 25.0%)" in text
    untrained, trained = (json.loads((run / f"relaxed/epoch_00000{done}/relaxed.json").read_text()) for done in (0, 4))
    assert untrained["random"] == {key: 0.5, "relax/fraction_below_minus_5000000": 0.25}
    found = json.loads((run / "summary.json").read_text())
    assert found["untrained"][key] == untrained["values"][key]
    assert found["trained"][key] == trained["values"][key]
    assert key not in found["random atoms"]
    assert found["training set"][key] == trained["training"][key] == 1
    quantile = "relax/fraction_below_random_50"
    assert trained["quantiles"] == {quantile: -1e6}  # four structures have no tenth
    with (run / "relaxed/epoch_000004/energies.csv").open() as file:
        energies = [float(row["energy"]) for row in csv.DictReader(file)]
    assert trained["values"][quantile] == np.mean(np.array(energies) <= -1e6)
    assert 0 < trained["training"][quantile] < trained["training"][key]
    assert "below 50 % of random (-1000000.00 eV/atom)" in text
    assert set(rows(run)[3]) > {quantile, f"{quantile}_low", f"{quantile}_high"}
    assert "relaxed to 0 eV/atom or below (random structures: 0.5)" in text
    assert str(run / "relaxed/epoch_000004/energies.png") in "".join(text.split("\n"))
    assert [set(row) & KEYS != set() for row in rows(run)] == [False, True, False, True]
    train(tiny(*arguments))
    assert "before training: " not in capsys.readouterr().out, "what is done is not done again"
    train(tiny(*arguments, "callbacks.relax.thresholds=[0,7]"))
    again = json.loads((run / "summary.json").read_text())
    assert "relax/failed" in again["trained"]
    assert "relax/fraction_below_7" not in again["trained"], "nothing was relaxed with that threshold"
