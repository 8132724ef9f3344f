"""Runs trained together from the command line's config: files, resuming, signals, errors."""

import csv
import os
import re
import signal
import sys
import threading
from functools import cache

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from configs.schema import plain
from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.training.labelled_output import labelled_output
from cryingan.training.together import each_run
from tests.conftest import TINY, compose
from tests.support.checkpoints import assert_same, flat
from tests.support.wandb_files import inspect, last_values
from train import train

DOUBLE = "trainer.precision=64-true"  # so that stacked and single products agree to more digits than a step changes


class TerminateAt(Callback):
    """Sends this process a signal in the middle of an epoch of one of the runs."""

    def __init__(self, epoch, seed, number):
        self.epoch, self.seed, self.number = epoch, seed, number

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx, module.hparams.seed) == (self.epoch, 2, self.seed):
            os.kill(os.getpid(), self.number)


class BreakAt(Callback):
    """Makes the generator of one seed not a number."""

    def __init__(self, epoch, seed):
        self.epoch, self.seed = epoch, seed

    def on_train_epoch_start(self, trainer, module):
        if (trainer.current_epoch, module.hparams.seed) == (self.epoch, self.seed):
            with torch.no_grad():
                next(module.generator.parameters()).fill_(torch.nan)


def folders(tmp_path, name):
    return f"run_dir={tmp_path}/{name}/${{lambda}}_${{seed}}"


def table(path):
    with path.open() as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def assert_equal_runs(one, other):
    """Checkpoints, metrics and files of two runs in double precision, up to rounding."""
    for section in ("state_dict", "optimizer_states", "lr_schedulers", "loops", "hyper_parameters", "global_step"):
        first, second = (flat(read_checkpoint(run / "checkpoints/last.ckpt")[section]) for run in (one, other))
        assert first.keys() == second.keys()
        for key, value in first.items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(value, second[key], rtol=1e-9, atol=1e-9)
            else:
                assert value == second[key], key
    for row, expected in zip(table(one / "metrics.csv"), table(other / "metrics.csv"), strict=True):
        assert row == pytest.approx(expected, rel=1e-6, abs=1e-9)
    names = [{path.relative_to(run) for path in run.rglob("*")} for run in (one, other)]
    assert names[0] >= names[1]  # a run that was stopped has files of its last epoch then
    settings = [(run / "config.yaml").read_text().replace(str(run), "") for run in (one, other)]
    assert settings[0] == settings[1]


@pytest.fixture(scope="module")
def alone(structures_file, tmp_path_factory):
    """Trains one seed alone, once for all tests, and returns its folder."""

    @cache
    def run(seed, weight="0.05", *overrides):
        folder = tmp_path_factory.mktemp("alone")
        common = (f"data.path={structures_file}", "logger=csv", *TINY, DOUBLE, folders(folder, "alone"))
        train(compose(*common, f"seed={seed}", f"lambda={weight}", *overrides))
        return folder / f"alone/{weight}_{seed}"

    return run


def test_every_run_is_what_it_is_when_trained_alone(tiny, tmp_path, alone, capsys):
    result = train(tiny(DOUBLE, folders(tmp_path, "all"), "seed=3", "replicas=2", "lambdas=[0.05,0.2]"))
    lines = [line for line in capsys.readouterr().out.splitlines() if "epoch" in line]
    one = r"epoch {}/4: score difference -?\d\S+ to -?\d\S+ in 4 runs, \S+ steps/s, \d:\d\d:\d\d left"
    assert all(re.fullmatch(one.format(n), line) for n, line in zip(range(1, 5), lines, strict=True))
    for weight in ("0.05", "0.2"):
        for seed in (3, 4):
            run = tmp_path / f"all/{weight}_{seed}"
            assert_equal_runs(run, alone(seed, weight))
            last = table(run / "metrics.csv")[-1]["train/score_difference"]
            assert result[f"{run}/train/score_difference"] == pytest.approx(last, rel=1e-6)


def test_runs_without_a_distance_discriminator(tiny, tmp_path, alone):
    train(tiny(DOUBLE, folders(tmp_path, "all"), "lambda=0", "pooling=mix", "replicas=2"))
    for seed in (1, 2):
        assert_equal_runs(tmp_path / f"all/0.0_{seed}", alone(seed, "0.0", "pooling=mix"))


def test_checkpoints_hold_one_model(tiny, tmp_path):
    """Views of stacked tensors would be saved with the whole stack."""
    train(tiny(folders(tmp_path, "all"), "replicas=3", "trainer.max_epochs=1"))
    train(tiny(folders(tmp_path, "alone"), "trainer.max_epochs=1"))
    sizes = [(tmp_path / name / "0.05_1/checkpoints/last.ckpt").stat().st_size for name in ("all", "alone")]
    assert sizes[0] <= 1.02 * sizes[1]


def test_runs_resume_together_alone_and_from_different_epochs(tiny, tmp_path, alone, capsys):
    together = folders(tmp_path, "all")
    train(tiny(DOUBLE, together, "seed=2", "trainer.max_epochs=1"))
    capsys.readouterr()
    train(tiny(DOUBLE, together, "replicas=3", "trainer.max_epochs=3"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"[{tmp_path}/all/0.05_2] resuming after epoch 1"
    counts = [(line.split(":")[0], re.search(r"in (\d) runs", line).group(1)) for line in lines[1:]]
    assert counts == [("epoch 1/3", "2"), ("epoch 2/3", "3"), ("epoch 3/3", "3")]
    for seed in (1, 3):
        train(tiny(DOUBLE, together, f"seed={seed}"))
    train(tiny(DOUBLE, together, "replicas=3"))
    for seed in (1, 2, 3):
        assert_equal_runs(tmp_path / f"all/0.05_{seed}", alone(seed))


def test_a_run_that_continues_alone_does_so_bit_for_bit_where_it_was_never_in_a_stack(tiny, tmp_path):
    """One replica is an ordinary run."""
    train(tiny(folders(tmp_path, "all"), "lambdas=[0.05]"))
    train(tiny(folders(tmp_path, "alone")))
    assert_same(*(tmp_path / name / "0.05_1/checkpoints/last.ckpt" for name in ("all", "alone")))


@pytest.fixture
def interruptible():
    """Processes in the background begin with Ctrl-C ignored, and a training leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_all_and_the_same_command_resumes(tiny, tmp_path, alone, number, code, capsys):
    together = (DOUBLE, folders(tmp_path, "all"), "replicas=2")
    before = signal.getsignal(number)
    stop = f"{{_target_: tests.training.test_lockstep.TerminateAt, epoch: 2, seed: 2, number: {int(number)}}}"
    with pytest.raises(SystemExit) as stopped:
        train(tiny(*together, f"+callbacks.stop={stop}"))
    assert stopped.value.code == code
    assert "stopped; resume=auto, the default, resumes after epoch 2\n" in capsys.readouterr().out
    assert signal.getsignal(number) == before
    for seed in (1, 2):
        assert read_checkpoint(tmp_path / f"all/0.05_{seed}/checkpoints/last.ckpt")["epoch"] == 1
    train(tiny(*together))
    for seed in (1, 2):
        assert_equal_runs(tmp_path / f"all/0.05_{seed}", alone(seed))


def test_one_that_diverges_says_so_and_the_others_continue(tiny, tmp_path, alone, capsys):
    poison = "{_target_: tests.training.test_lockstep.BreakAt, epoch: 2, seed: 2}"
    with pytest.raises(CryinGANError, match=r"1 of 3 runs ended early: \S+/all/0.05_2$"):
        train(tiny(DOUBLE, folders(tmp_path, "all"), "replicas=3", f"+callbacks.poison={poison}"))
    start = f"train.py: {tmp_path}/all/0.05_2: score_difference"
    [line] = [text for text in capsys.readouterr().err.splitlines() if text.startswith(start)]
    assert "not finite in epoch 2, batch" in line
    assert "nothing of it is saved" in line
    saved = read_checkpoint(tmp_path / "all/0.05_2/checkpoints/last.ckpt")
    assert saved["epoch"] == 1
    assert all(tensor.isfinite().all() for tensor in saved["state_dict"].values())
    for seed in (1, 3):
        assert_equal_runs(tmp_path / f"all/0.05_{seed}", alone(seed, "0.05", f"+callbacks.poison={poison}"))


def test_a_run_whose_folder_is_in_use_does_not_keep_the_others_from_training(tiny, tmp_path, capsys):
    from cryingan.storage.atomic import make_folder
    from cryingan.storage.locks import lock_folder

    with lock_folder(make_folder(tmp_path / "all/0.05_1")), pytest.raises(CryinGANError, match="1 of 2 runs"):
        train(tiny(folders(tmp_path, "all"), "replicas=2", "trainer.max_epochs=1"))
    assert "another process is at work" in capsys.readouterr().err
    assert len(table(tmp_path / "all/0.05_2/metrics.csv")) == 1


def test_time_limits_end_every_run_at_the_end_of_an_epoch(tiny, tmp_path):
    limits = ("trainer.max_time='00:00:00:01'", "trainer.max_epochs=100000", "~callbacks.quality")
    train(tiny(folders(tmp_path, "all"), "replicas=2", *limits))
    for seed in (1, 2):
        run = tmp_path / f"all/0.05_{seed}"
        assert read_checkpoint(run / "checkpoints/last.ckpt")["epoch"] + 1 == len(table(run / "metrics.csv"))


def test_every_run_has_its_own_wandb_run(tiny, tmp_path):
    import json

    train(tiny(folders(tmp_path, "all"), "logger=wandb", "replicas=2", "trainer.max_epochs=2"))
    ids = set()
    for seed in (1, 2):
        run = tmp_path / f"all/0.05_{seed}"
        (offline,) = (run / "wandb").glob("offline-run-*")
        report = json.loads(inspect(offline, "--summary", "--json"))
        row = table(run / "metrics.csv")[-1]
        assert {key: last_values(report["summary"])[key] for key in row} == row
        assert report["name"] == f"lambda0.05_avg_seed{seed}"
        assert report["config"]["seed"] == seed
        ids.add(read_checkpoint(run / "checkpoints/last.ckpt")["wandb_run_id"])
    assert len(ids) == 2


@pytest.mark.slow
def test_samples_are_relaxed_for_every_run(tiny, tmp_path):
    relaxed = ("callbacks=relax", "potential=pair", "callbacks.relax.mode=inline", "callbacks.relax.every_n_epochs=2")
    relaxed += ("callbacks.relax.n_samples=2", "relax.max_steps=5", "relax.progress=false", "relax.backend=serial")
    train(tiny(folders(tmp_path, "all"), "replicas=2", *relaxed))
    for seed in (1, 2):
        rows = table(tmp_path / f"all/0.05_{seed}/metrics.csv")
        assert [n for n, row in enumerate(rows) if "relax/failed" in row] == [1, 3]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["replicas=0"], "replicas=0"),
        (["replicas=2", "run_dir=runs/same"], r"same for several runs; put \${seed} in it"),
        (["lambdas=[0.01,0.05]", "run_dir=runs/${seed}"], r"same for several runs; put \${lambda} in it"),
        (["lambdas=[0.01,0.05]", "replicas=2", "run_dir=runs/same"], r"put \${seed} and \${lambda} in it"),
        (["lambdas=0.05"], r"it is a list, such as lambdas=\[0.01,0.05\]"),
        (["lambdas=[0.05,0.05]"], "a value occurs twice"),
        (["lambdas=[0.01,-0.05]"], r"lambda=-0.05: .* 0 or more"),
        (["lambdas=[0,0.05]"], "lambda 0 has no distance discriminator"),
        (["replicas=2", "resume=some.ckpt"], "resume=PATH is for one run"),
    ],
)
def test_what_cannot_be_trained_together_is_refused(tiny, tmp_path, overrides, said):
    with pytest.raises(CryinGANError, match=said):
        train(tiny(folders(tmp_path, "all"), *overrides))
    assert not (tmp_path / "all").exists()


def test_several_devices_are_refused(tiny, tmp_path):
    with pytest.raises(CryinGANError, match=r"trainer\.devices=1"):
        train(tiny(folders(tmp_path, "all"), "replicas=2", "trainer=ddp", "trainer.accelerator=cpu"))


def test_a_single_run_keeps_its_config(tiny):
    config = tiny()
    assert each_run(config) == [config]
    assert plain(each_run(tiny("lambdas=[0.3]"))[0]) == plain(tiny("lambda=0.3"))


def test_what_a_run_prints_says_whose_it_is_on_both_outputs(capsys):
    def speak() -> None:
        print("a loss\nand another")
        print("a warning", file=sys.stderr)

    thread = threading.Thread(target=speak, name="runs/1")
    with labelled_output([thread]):
        thread.start()
        thread.join()
        print("of all")
        print("of all", file=sys.stderr)
    captured = capsys.readouterr()
    assert captured.out == "[runs/1] a loss\n[runs/1] and another\nof all\n"
    assert captured.err == "[runs/1] a warning\nof all\n"
