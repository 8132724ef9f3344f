"""benchmarks/gpu.sh without a GPU: how parts end, what is kept, and what its benchmarks write."""

import csv
import os
import subprocess
import sys

import pytest

from benchmarks import batches, launches, precision, training
from cryingan.storage.atomic import ROOT
from tests.conftest import TINY

STUB = """#!/bin/bash
case "$*" in
    *benchmarks.joined*) exec {python} "$@" ;;
    "-m pytest"*) exit 3 ;;
    *launches*) echo "way,cycle
ours,0.5" >{folder}/parts/cycles.csv; exit 124 ;; # as timeout does
esac
"""


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_parts_that_fail_or_are_cut_off_lose_nothing_of_the_others(tmp_path):
    stub, folder = tmp_path / "python", tmp_path / "measured"
    stub.write_text(STUB.format(python=sys.executable, folder=folder))
    stub.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(stub), "DEVICE": "cpu"}
    call = ["bash", ROOT / "benchmarks/gpu.sh", "measured", "machine", "tests", "cycles", "replicas"]
    subprocess.run(call, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=120)
    rows = rows_of(folder / "gpu.csv")
    assert [(row["part"], row["state"]) for row in rows if row["state"]] == [
        ("machine", "done"),
        ("tests", "failed (3)"),
        ("cycles", "cut off"),
        ("replicas", "done"),
    ]
    assert [(row["part"], row["way"], row["cycle"]) for row in rows if row["way"]] == [("cycles", "ours", "0.5")]
    assert "-m benchmarks.launches --device cpu" in (folder / "gpu.log").read_text()
    subprocess.run(call[:4], cwd=tmp_path, env={**environment, "LIMIT": "0"}, check=True, capture_output=True)
    assert [row["state"] for row in rows_of(folder / "gpu.csv")] == ["no time left"]
    (folder / "parts/tests.csv").write_text("way\nof an earlier call\n")
    subprocess.run([*call[:3], "tests"], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=120)
    assert [(row["part"], row["state"]) for row in rows_of(folder / "gpu.csv")] == [("tests", "failed (3)")]


CYCLES = "--systems li2o_licl --batch-size 1 --rounds 1 --lambdas 0.05 --precisions bf16"
BATCHES = "--sets li2o_licl --batches 2 --steps 1"


@pytest.mark.parametrize(
    ("module", "words", "rows", "positive"),
    [
        (launches, CYCLES, 2, ("cycle", "ratio")),
        (batches, BATCHES, 1, ("evaluations_per_second", "relaxations_per_second", "by_one_core")),
    ],
)
def test_its_benchmarks_write_their_rows(module, words, rows, positive, tmp_path, monkeypatch):
    table = tmp_path / "table.csv"
    monkeypatch.setattr(sys, "argv", ["benchmark", *words.split(), "--output", str(table)])
    module.main()
    found = rows_of(table)
    assert len(found) == rows
    assert all(float(row[name]) > 0 for row in found for name in positive)


def test_a_training_is_watched(structures_file, tmp_path, monkeypatch):
    table = tmp_path / "table.csv"
    keys = [*TINY, f"data.path={structures_file}", "trainer.max_epochs=2", "logger=csv"]
    keys += ["~callbacks.quality", "~callbacks.structures"]
    monkeypatch.setattr(training, "FIRST", 2)
    monkeypatch.setattr(sys, "argv", ["benchmark", "--seconds", "60", "--output", str(table), *keys])
    training.main()
    (row,) = rows_of(table)
    assert float(row["seconds_to_first_step"]) > 0
    assert int(row["steps"]) == 2 * 5 - 2
    assert float(row["steps_per_second"]) > 0
    assert float(row["busy"]) > 0


def test_losses_in_every_precision_are_compared(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--steps", "10"])
    precision.main()
    told = capsys.readouterr().out
    assert told.count("bfloat16: on average") == told.count("float32, seed 2: on average") == 3
