import csv
import json
import os
import shutil
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase.io import read

from callbacks.relax_samples import RelaxSamples
from callbacks.relaxed_epochs import Evaluations
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.samples import relaxer as relaxed_samples
from cryingan.samples.background import BackgroundRelaxer
from cryingan.storage.checkpoint import read_checkpoint
from data.module import StructureData
from tests.conftest import TINY, compose, random_crystals
from tests.support.callbacks import InterruptedRun, KillWorker
from tests.support.checkpoints import assert_same
from tests.support.command import call
from tests.support.wandb_files import inspect
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
KEYS |= {f"relax/{name}" for name in ("failed", "unconverged", "close_pairs")}
AVERAGES = ("steps", "energy", "energy_median", "energy_drop")
KEYS |= {f"relax/{name}{end}" for name in AVERAGES for end in ("", "_low", "_high")}


def rows(run):
    with (run / "metrics.csv").open() as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def whole(structures_file, tmp_path_factory):
    """Run folders of the same training without relaxation, with it inline and in the background."""
    folder = tmp_path_factory.mktemp("whole")
    common = (f"data.path={structures_file}", "logger=csv", *TINY, "callbacks.milestones.every_n_epochs=1")
    train(compose(*common, f"run_dir={folder / 'off'}"))
    for mode in ("inline", "background"):
        train(compose(*common, f"run_dir={folder / mode}", *RELAX, f"callbacks.relax.mode={mode}"))
    return folder


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
    data = StructureData(structures_file, validation=0.25)
    zero = (load_potential("pair").evaluate(data.crystals.to_ase())[0] / 10).mean()  # held-out ones, too
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
        assert all(row[f"relax/{name}_low"] < row[f"relax/{name}_high"] for name in AVERAGES)
    assert rows(run)[1]["relax/energy"] != rows(run)[3]["relax/energy"]


def test_samples_of_a_run_are_relaxed_as_the_run_did(whole, tmp_path):
    checkpoint = whole / "inline/checkpoints/best.ckpt"
    arguments = ("n=3", "relax=true", "relax.max_steps=900", f"output={tmp_path}")
    result = call("sample.py", f"checkpoint={checkpoint}", *arguments)
    assert result.returncode == 0, result.stderr
    assert "3 samples: " in result.stdout
    assert (
        "relaxing as the run did, unless the command line says otherwise: optimizer=fire, fmax=0.1, " in result.stdout
    )
    assert "thresholds=[0, -0.49]" in result.stdout
    settings = [json.loads((f / "relax.json").read_text())["settings"] for f in (tmp_path, whole / EPOCH_2)]
    assert settings[0] == {**settings[1], "max_steps": 900}
    ours, runs = (json.loads((folder / "relaxed.json").read_text()) for folder in (tmp_path, whole / EPOCH_2))
    for key in ("unit", "zero_ev_per_atom", "potential_hash"):
        assert ours[key] == runs[key]
    assert {"samples.extxyz", "repaired.extxyz", "relaxed.extxyz", "relax.csv", "energies.png", "manifest.json"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_best_is_the_epoch_with_the_highest_fraction(whole):
    fractions = {epoch: rows(whole / "background")[epoch]["relax/fraction_below_0"] for epoch in (1, 3)}
    best = max(fractions, key=lambda epoch: (fractions[epoch], epoch))
    for mode in ("inline", "background"):
        checkpoints = whole / mode / "checkpoints"
        assert read_checkpoint(checkpoints / "best.ckpt")["epoch"] == best
        assert not list(checkpoints.glob("candidates/*"))


@pytest.mark.parametrize("of_pool", [False, True])
def test_a_killed_worker_is_started_again(tiny, tmp_path, capfd, time_limit, of_pool):
    time_limit(240)
    kill = f"+callbacks.kill={{_target_: tests.support.callbacks.KillWorker, of_pool: {of_pool}}}"
    many = ("callbacks.relax.n_samples=40", "relax.fmax=0.02", "relax.backend=loky", "relax.processes=2")
    train(tiny(*RELAX, *many, kill))
    said = capfd.readouterr().out
    if of_pool:
        assert said.count("a worker process died, perhaps for lack of memory; continuing with") == 1
    assert said.count("was killed by SIGKILL in epoch_000002 and is started again") == (not of_pool)
    assert "given up" not in said
    assert "epoch 4/4" in said
    with pytest.raises(ProcessLookupError):
        (os.kill if of_pool else os.killpg)(KillWorker.killed, 0)  # nor does what it had started go on
    killed = rows(tmp_path / "run")
    train(tiny(*RELAX, *many, "callbacks.relax.mode=inline", f"run_dir={tmp_path / 'inline'}"))
    assert killed == rows(tmp_path / "inline")


def test_an_evaluation_that_kills_every_worker_is_given_up(tiny, tmp_path, capfd, time_limit):
    time_limit(240)
    deadly = ("potential=ase", "potential.calculator=tests.support.deadly.DeadlyCalculator")
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
        train(tiny(*settings, "+callbacks.stop={_target_: tests.support.callbacks.StopAfter, epoch: 2}"))
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
        train(tiny(*RELAX, "+callbacks.stop={_target_: tests.support.callbacks.StopAfter, epoch: 0}"))
    [process] = made
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_of_several_processes_the_first_relaxes(structures_file, tmp_path):
    arguments = [f"data.path={structures_file}", f"run_dir={tmp_path / 'run'}", "logger=csv", *TINY, *RELAX]
    result = call("train.py", *arguments, "trainer=ddp", "trainer.max_epochs=2")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("4 samples: ") == 1
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
    train(tiny(*RELAX, "callbacks.relax.mode=inline", "relax.time_budget=1e-9", "trainer.max_epochs=1"))
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
        (("callbacks.relax.thresholds=[low]",), "must be numbers"),
        (("relax.time_budget=-5",), "time_budget=-5"),
        (("potential=ase", "potential.calculator=no.such"), "no.such"),
    ],
)
def test_mistakes_are_told_before_training(tiny, tmp_path, mode, overrides, said):
    with pytest.raises(CryinGANError, match=said):
        train(tiny(*RELAX, f"callbacks.relax.mode={mode}", *overrides))
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.parametrize("mode", ["inline", "background"])
def test_what_other_settings_gave_is_set_aside(tiny, tmp_path, mode, capsys, caplog):
    run = tmp_path / "run"
    settings = (*RELAX, f"callbacks.relax.mode={mode}")
    train(tiny(*settings, "trainer.max_epochs=2"))
    cut_off(run, 1)
    before = (run / "relaxed/epoch_000002/relax.csv").read_bytes()
    train(tiny(*settings, "relax.fmax=0.2", "trainer.max_epochs=4"))
    assert "results of other settings are now in epoch_000002.1" in capsys.readouterr().out + caplog.text
    assert (run / "relaxed/epoch_000002.1/relax.csv").read_bytes() == before
    fmax = [json.loads((run / f"relaxed/epoch_00000{n}/relax.json").read_text())["settings"]["fmax"] for n in (2, 4)]
    assert fmax == [0.2, 0.2]
    samples = [(run / f"relaxed/epoch_000002{end}/samples.extxyz").read_bytes() for end in ("", ".1")]
    assert samples[0] == samples[1]
    assert [set(row) & KEYS for row in rows(run)] == [set(), KEYS, set(), KEYS]
    train(tiny(*settings, "relax.fmax=0.2", "trainer.max_epochs=5"))  # nor is the folder aside taken for an evaluation
    assert set(rows(run)[4]) > KEYS


@pytest.mark.parametrize("mode", ["inline", "background"])
@pytest.mark.parametrize("kept", ["summaries", "best.ckpt"])
def test_energies_of_another_potential_or_data_card_do_not_join(tiny, tmp_path, structures_file, mode, kept):
    run, data = tmp_path / "run", tmp_path / "data.extxyz"
    shutil.copy(structures_file, data)
    settings = (*RELAX, f"callbacks.relax.mode={mode}", f"data.path={data}")
    train(tiny(*settings, "trainer.max_epochs=3"))
    if kept == "best.ckpt":
        shutil.rmtree(run / "relaxed")
    else:
        for path in (run / "checkpoints").glob("*.ckpt"):
            content = read_checkpoint(path)
            del content["relaxed_energies"]
            torch.save(content, path)
    written = [run / "metrics.csv", run / "config.yaml"]
    before = [path.read_bytes() for path in written]
    with pytest.raises(CryinGANError, match=r"has energies in eV/atom of pair .* cannot be mixed; use the same"):
        train(tiny(*settings, "potential.depth=0.4"))
    card = tmp_path / "data.card.yaml"
    card.write_text("kind: interface")
    with pytest.raises(CryinGANError, match=r"now they would be in J/m\^2 of pair"):
        train(tiny(*settings))
    if (mode, kept) != ("background", "best.ckpt"):  # whose candidate was stored before its zero was known
        card.write_text("rule: maximum")
        with pytest.raises(CryinGANError, match=r"zero at .* zero at"):
            train(tiny(*settings))
    assert [path.read_bytes() for path in written] == before
    card.unlink()
    train(tiny(*settings))
    assert set(rows(run)[3]) > KEYS


def test_relaxations_of_an_earlier_training_are_set_aside(tiny, tmp_path, capsys):
    run, settings = tmp_path / "run", (*RELAX, "callbacks.relax.every_n_epochs=1", "callbacks.relax.mode=inline")
    train(tiny(*settings, "trainer.max_epochs=1"))
    first = rows(run)
    relaxed = run / "relaxed/epoch_000001/relax.csv"
    born = relaxed.stat().st_mtime_ns
    shutil.rmtree(run / "checkpoints")
    train(tiny(*settings, "trainer.max_epochs=1"))  # as after a kill before the first checkpoint
    assert f"{run / 'relaxed'} is of an earlier training; it is {run / 'relaxed.1'} now" in capsys.readouterr().out
    assert rows(run) == first
    assert relaxed.stat().st_mtime_ns > born
    assert not (run / "relaxed.1/epoch_000001").exists()
    shutil.rmtree(run / "checkpoints")
    train(tiny(*settings, "seed=2", "callbacks.relax.every_n_epochs=2"))
    assert [set(row) & KEYS for row in rows(run)] == [set(), KEYS, set(), KEYS]
    assert (run / "relaxed.2/epoch_000001/relaxed.json").exists()
    assert not (run / "relaxed/epoch_000001").exists()


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


def test_the_worker_leaves_word_and_passes_warnings_on(tiny, tmp_path, capfd):
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


def test_wandb_gets_values_table_and_structures_under_their_epoch(tiny, tmp_path, monkeypatch):
    poll, wait = BackgroundRelaxer.poll, BackgroundRelaxer.wait

    def wait_at_last(self, stop):
        monkeypatch.setattr(BackgroundRelaxer, "poll", poll)
        return wait(self, stop)

    monkeypatch.setattr(BackgroundRelaxer, "poll", lambda self: [])  # every result comes when training is over
    monkeypatch.setattr(BackgroundRelaxer, "wait", wait_at_last)
    train(tiny(*RELAX, "logger=wandb", "callbacks.relax.n_samples=3", "callbacks.relax.pictures=1"))
    (folder,) = (tmp_path / "run/wandb").glob("offline-run-*")
    records = [json.loads(line) for line in inspect(folder, "--json").splitlines()]
    media = {"relax/energies", "relax/samples", "relax/structures", "relax/molecules_before", "relax/molecules_after"}
    history = [record["history"]["item"] for record in records if "history" in record]
    for key in media:
        assert [item["epoch"] for item in history if {key, f"{key}._type"} & set(item)] == [1, 3], key
    expected = {(row["epoch"], key): row[key] for row in rows(tmp_path / "run") for key in set(row) & KEYS}
    logged = {(item["epoch"], key): item[key] for item in history for key in set(item) & KEYS}
    assert logged == pytest.approx(expected)
    assert {epoch for epoch, _ in logged} == {1, 3}
    axes = [record["metric"] for record in records if "metric" in record]
    assert any("epoch" in str(axis.get("step_metric")) and "*" in axis.values() for axis in axes), axes
    for done, path in zip((2, 4), sorted((folder / "files/media/table/relax").glob("*.json"), key=step), strict=True):
        table = json.loads(path.read_text())
        with (tmp_path / f"run/relaxed/epoch_00000{done}/energies.csv").open() as file:
            samples = list(csv.DictReader(file))
        assert table["columns"] == [*samples[0], "picture"]
        for row, sample in zip(table["data"], samples, strict=True):
            assert [str(value) for value in row[:2]] == [f"{float(sample[name])}" for name in table["columns"][:2]]
            assert row[table["columns"].index("energy")] == pytest.approx(float(sample["energy"]))
            assert row[-1] == "Image"


def step(path):
    return int(path.name.split("_")[1])


def test_samples_that_cannot_be_stored_do_not_end_training(tiny, tmp_path, capsys):
    blocked = tmp_path / "run/relaxed/epoch_000004"
    train(tiny(*RELAX, "callbacks.relax.mode=inline", "trainer.max_epochs=2"))
    blocked.write_text("in the way")
    train(tiny(*RELAX, "callbacks.relax.mode=inline"))
    assert "epoch 4: the samples are not relaxed: " in capsys.readouterr().out
    assert len(rows(tmp_path / "run")) == 4


def test_a_log_that_cannot_be_written_is_told(tiny, tmp_path):
    (tmp_path / "run/relaxed/worker.log").mkdir(parents=True)
    with pytest.raises(CryinGANError, match=r"worker\.log cannot be written: Is a directory"):
        train(tiny(*RELAX, "callbacks.relax.mode=background", "resume=auto"))


def test_every_epoch_and_every_seed_has_samples_of_its_own(tmp_path):
    """With weights that no longer change, too."""
    relaxed, asked, submitted = RelaxSamples({"kind": "pair"}, {}, every_n_epochs=2, n_samples=7), [], []
    relaxed.relaxer = SimpleNamespace(submit=submitted.append, poll=list)
    for run, seed in enumerate((1, 2, 1)):
        relaxed.evaluations = Evaluations(tmp_path / str(run))
        module = SimpleNamespace(
            hparams=SimpleNamespace(seed=seed),
            sample=lambda *arguments: (asked.append(arguments), random_crystals(1, ("Li", "O"), np.eye(3) * 9))[1],
        )
        for epoch in range(6):
            trainer = SimpleNamespace(is_global_zero=True, current_epoch=epoch, max_epochs=9, should_stop=False)
            relaxed.on_train_epoch_end(trainer, module)
    assert [folder.name for folder in submitted] == ["epoch_000002", "epoch_000004", "epoch_000006"] * 3
    assert {n for n, _ in asked} == {7}
    assert len({seed for _, seed in asked[:6]}) == 6
    assert asked[6:] == asked[:3], "an evaluation that is repeated has the same samples"


def test_the_untrained_generator_and_random_structures_stand_beside_what_was_learnt(
    tiny, tmp_path, structures_file, capsys
):
    data = tmp_path / "data.extxyz"
    shutil.copy(structures_file, data)
    potential = load_potential("pair").card
    cutoff = {"potential": potential.name, "hash": potential.hash, "energy_per_atom": 1e6, "random": "random.csv"}
    (tmp_path / "data.card.yaml").write_text(json.dumps({"cutoffs": [cutoff]}))
    (tmp_path / "random.csv").write_text("number,energy_per_atom\n0,0\n1,2e6\n2,\n3,-1e7\n")
    summary = "+callbacks.summary={_target_: callbacks.summary.Summary, run_dir: ${run_dir}}"
    thresholds = "callbacks.relax.thresholds=[0,-5e6]"
    arguments = (*RELAX, f"data.path={data}", summary, thresholds, "callbacks.relax.before=true")
    train(tiny(*arguments))
    run, key = tmp_path / "run", "relax/fraction_below_0"
    text = capsys.readouterr().out
    assert "before training: 4 samples: " in text
    assert "(random structures: 50.0%, 25.0%)" in text
    untrained, trained = (json.loads((run / f"relaxed/epoch_00000{done}/relaxed.json").read_text()) for done in (0, 4))
    assert untrained["random"] == {key: 0.5, "relax/fraction_below_-5e+06": 0.25}
    found = json.loads((run / "summary.json").read_text())
    assert found["untrained"][key] == untrained["values"][key]
    assert found["trained"][key] == trained["values"][key]
    assert key not in found["random atoms"]
    assert "relaxed to 0 eV/atom or below (random structures: 0.5)" in text
    assert str(run / "relaxed/epoch_000004/energies.png") in "".join(text.split("\n"))
    assert [set(row) & KEYS != set() for row in rows(run)] == [False, True, False, True]
    train(tiny(*arguments))
    assert "before training: " not in capsys.readouterr().out, "what is done is not done again"
    train(tiny(*arguments, "callbacks.relax.thresholds=[0,7]"))
    again = json.loads((run / "summary.json").read_text())
    assert "relax/failed" in again["trained"]
    assert "relax/fraction_below_7" not in again["trained"], "nothing was relaxed with that threshold"


def test_an_interrupted_look_at_the_untrained_generator_is_taken_again(tiny, tmp_path, capsys):
    arguments = (*RELAX, "callbacks.relax.mode=inline", "callbacks.relax.before=true")
    train(tiny(*arguments, "trainer.max_epochs=2"))
    (tmp_path / "run/relaxed/epoch_000000/relaxed.json").unlink()
    capsys.readouterr()
    train(tiny(*arguments))
    assert capsys.readouterr().out.count("before training: 4 samples") == 1
