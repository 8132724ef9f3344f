"""The table of the last raw values of several runs."""

import csv
import sys

import pytest

from benchmarks import runs
from cryingan.errors import CryinGANError


@pytest.fixture
def folders(tmp_path):
    """Two runs that were measured after 2 and 4 epochs, and one that never was."""
    for number, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        lines = ["epoch,samples/close_pairs,samples/precision", "0,,", f"1,{number + 1},0.5", "2,,", f"3,{number},0.75"]
        (tmp_path / name / "metrics.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/metrics.csv").write_text("epoch,train/loss\n0,1\n")
    return [tmp_path / name for name in "abc"]


@pytest.mark.parametrize(
    ("epochs", "close", "precision"), [((), "0.5 (0 to 1)", "0.75"), (("--epochs=3",), "1.5 (1 to 2)", "0.5")]
)
def test_last_values_of_seeds(folders, epochs, close, precision, tmp_path, monkeypatch, capsys):
    output = tmp_path / "runs.csv"
    monkeypatch.setattr(sys, "argv", ["runs", f"x={folders[0]},{folders[1]}", f"--output={output}", *epochs])
    runs.main()
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith(f"| x | {close} |  | {precision} ({precision} to {precision}) |")
    with output.open() as file:
        assert [float(one["samples/precision"]) for one in csv.DictReader(file)] == [float(precision)] * 2


def test_runs_without_values(folders, tmp_path, monkeypatch):
    for folder, said in ((folders[2], "no samples were measured within"), (tmp_path, "no metrics.csv")):
        monkeypatch.setattr(sys, "argv", ["runs", f"x={folder}", f"--output={tmp_path / 't.csv'}"])
        with pytest.raises(CryinGANError, match=said):
            runs.main()
