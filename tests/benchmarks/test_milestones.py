import csv
import json

import numpy as np
import pytest

from benchmarks.milestones import main, milestones


def write_run(folder, fractions, thresholds=("0", "-0.2")):
    """A run of 6 epochs with milestones every 2, whose samples have been relaxed."""
    (folder / "checkpoints").mkdir(parents=True)
    lines = ["epoch,train/wasserstein", *(f"{epoch},{epoch + 1}.0" for epoch in range(6))]
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
        (place / "summary.json").write_text(json.dumps({"values": values, "samples": 5}))
    return folder


def call(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["milestones", *map(str, arguments)])
    main()


def test_table_and_figures_of_two_runs(tmp_path, monkeypatch):
    runs = [write_run(tmp_path / "a", (0.2, 0.4, 0.6)), write_run(tmp_path / "b", (0.1, 0.2, 0.3))]
    call(monkeypatch, *runs, "--n", 5, "--output", tmp_path / "out")
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], int(row["epoch"])) for row in rows] == [(run, epoch) for run in "ab" for epoch in (2, 4, 6)]
    np.testing.assert_allclose([float(row["train/wasserstein"]) for row in rows], [1.5, 3.5, 5.5] * 2)
    np.testing.assert_allclose([float(row["relax/fraction_below_0"]) for row in rows], [0.2, 0.4, 0.6, 0.1, 0.2, 0.3])
    assert {path.name for path in tmp_path.glob("out*.png")} == {"out.png", "out_close_pairs.png"}


@pytest.mark.parametrize(("every", "epochs"), [(1, [2, 4, 6]), (2, [4, 6]), (3, [6]), (7, [6])])
def test_every_so_many_milestones_and_always_the_last(tmp_path, every, epochs):
    assert list(milestones(write_run(tmp_path / "a", (0, 0, 0)), every)) == epochs


def test_other_numbers_of_samples_are_relaxed_with_the_settings_given(tmp_path, monkeypatch):
    run = write_run(tmp_path / "a", (0.2, 0.4, 0.6))
    calls = []

    def relax(command, check):
        calls.append(command)
        folder = next(word for word in command if word.startswith("output="))[len("output=") :]
        summary = json.loads((tmp_path / "a/milestones/epoch_000002/summary.json").read_text()) | {"samples": 7}
        (tmp_path / folder / "summary.json").write_text(json.dumps(summary))

    monkeypatch.setattr("subprocess.run", relax)
    call(monkeypatch, run, "relax.max_steps=5", "--every", 3, "--n", 7, "--output", tmp_path / "out")
    [command] = calls
    assert {f"checkpoint={run}/checkpoints/epoch_000006.ckpt", "n=7", "relax=true", "relax.max_steps=5"} <= set(command)


def test_a_run_without_milestones(tmp_path, monkeypatch):
    for path in (write_run(tmp_path / "a", (0, 0, 0)) / "checkpoints").glob("epoch_*"):
        path.unlink()
    with pytest.raises(SystemExit, match="holds no checkpoints epoch_"):
        call(monkeypatch, tmp_path / "a")
