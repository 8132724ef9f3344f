import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.milestones import main, milestones
from tests.support import command as scripts
from train import train


def write_run(folder, fractions, thresholds=("0", "-0.2")):
    """A run of 6 epochs with milestones every 2, whose samples have been relaxed."""
    (folder / "checkpoints").mkdir(parents=True)
    lines = ["epoch,train/score_difference", *(f"{epoch},{epoch + 1}.0" for epoch in range(6))]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    (folder / "checkpoints" / "last.ckpt").touch()
    for epoch, fraction in zip((2, 4, 6), fractions, strict=True):
        (folder / "checkpoints" / f"epoch_{epoch:06d}.ckpt").touch()
        values = {"relax/close_pairs": 10.0 / epoch, "relax/failed": 0.0}
        for threshold in thresholds:
            ends = {"": fraction, "_low": fraction - 0.1, "_high": fraction + 0.1}
            values |= {f"relax/fraction_below_{threshold}{end}": value for end, value in ends.items()}
        place = folder / "milestones" / f"epoch_{epoch:06d}"
        place.mkdir(parents=True)
        (place / "relaxed.json").write_text(json.dumps({"values": values, "samples": 5}))
    return folder


def call(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["milestones", *map(str, arguments)])
    main()


@pytest.fixture
def relaxed_before(monkeypatch):
    """sample.py, which finds that all is done."""
    calls = []

    def done(command):
        calls.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", done)
    return calls


def test_table_and_figures_of_two_runs(tmp_path, monkeypatch, relaxed_before):
    runs = [write_run(tmp_path / "a", (0.2, 0.4, 0.6)), write_run(tmp_path / "b", (0.1, 0.2, 0.3))]
    call(monkeypatch, *runs, "relax.max_steps=5", "--n", 5, "--output", tmp_path / "out")
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], int(row["epoch"])) for row in rows] == [
        (str(run), epoch) for run in runs for epoch in (2, 4, 6)
    ]
    np.testing.assert_allclose([float(row["train/score_difference"]) for row in rows], [1.5, 3.5, 5.5] * 2)
    np.testing.assert_allclose([float(row["relax/fraction_below_0"]) for row in rows], [0.2, 0.4, 0.6, 0.1, 0.2, 0.3])
    assert {path.name for path in tmp_path.glob("out*.png")} == {"out.png", "out_close_pairs.png"}
    assert len(relaxed_before) == 6
    assert all({"n=5", "relax=true", "relax.max_steps=5"} <= set(command) for command in relaxed_before)


@pytest.mark.parametrize(("every", "epochs"), [(1, [2, 4, 6]), (2, [4, 6]), (3, [6]), (7, [6])])
def test_every_so_many_milestones_and_always_the_last(tmp_path, every, epochs):
    assert list(milestones(write_run(tmp_path / "a", (0, 0, 0)), every)) == epochs


def test_milestones_of_a_training_are_relaxed_and_other_settings_refused(tmp_path, monkeypatch, tiny):
    """What sample.py refuses ends in its own line."""

    def run(command):
        python, script, *arguments = command
        assert python == sys.executable
        return scripts.call(script, *arguments)

    milestones = ("callbacks.milestones.every_n_epochs=2", "trainer.max_epochs=2")
    train(tiny("callbacks=default", f"run_dir={tmp_path}/run", *milestones))
    monkeypatch.setattr(subprocess, "run", run)
    pair = ("potential=pair", "relax.fmax=100", "relax.backend=serial", "pictures=0")
    call(monkeypatch, tmp_path / "run", *pair, "--n", 3, "--output", tmp_path / "out")
    with (tmp_path / "out.csv").open() as file:
        [row] = csv.DictReader(file)
    assert row["epoch"] == "2"
    assert 0 <= float(row["relax/fraction_below_0"]) <= 1
    with pytest.raises(SystemExit) as refused:
        call(monkeypatch, tmp_path / "run", *pair, "--n", 4, "--output", tmp_path / "out")
    assert refused.value.code == 1


def test_a_run_without_its_metrics(tmp_path, monkeypatch):
    run = write_run(tmp_path / "a", (0, 0, 0))
    (run / "metrics.csv").write_text("epoch,train/other\n1,2.0\n")
    with pytest.raises(SystemExit, match=r"metrics.csv holds no train/score_difference"):
        call(monkeypatch, run)
    (run / "metrics.csv").unlink()
    with pytest.raises(SystemExit, match=r"metrics.csv holds no train/score_difference"):
        call(monkeypatch, run)
    with pytest.raises(SystemExit, match="nowhere holds no checkpoints epoch_"):
        call(monkeypatch, tmp_path / "nowhere")


def test_a_run_without_milestones(tmp_path, monkeypatch):
    for path in (write_run(tmp_path / "a", (0, 0, 0)) / "checkpoints").glob("epoch_*"):
        path.unlink()
    with pytest.raises(SystemExit, match="holds no checkpoints epoch_"):
        call(monkeypatch, tmp_path / "a")
