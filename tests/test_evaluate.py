"""evaluate.py as users call it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

import cryingan
from configs.entry import CONFIGS
from configs.help import INTERNAL, help_text
from data.module import StructureData
from tests.support.command import call, leaves
from tests.support.evaluation import alloy, saved, silicon
from tests.support.paths import ROOT
from tests.support.run_folders import config, write_run


def test_a_file_is_scored_and_two_results_are_compared(tmp_path):
    reference = saved(alloy(4, 1), tmp_path / "reference.extxyz")
    for name, vacancies in (("a", 0), ("b", 2)):
        structures = saved(alloy(3, 2, vacancies), tmp_path / f"{name}.extxyz")
        result = call(
            "evaluate.py",
            "benchmark=alloy",
            f"structures={structures}",
            f"reference={reference}",
            f"output={tmp_path / 'out' / name}",
            "original=5",
        )
        assert result.returncode == 0, result.stderr
        assert "3 of 5 structures accepted" in result.stdout
        assert "percent_failed          40 (" in result.stdout
    content = json.loads((tmp_path / "out/b/metrics.json").read_text())
    assert content["percent_with_vacancies"]["value"] == 100
    [(title, beside)] = content["beside"].items()
    random = StructureData(reference, sort_species=True).random.draw(20, 1)
    alone = cryingan.evaluate(random, reference, "alloy", processes=1, progress=False).values["d_cluster"].value
    assert (title, beside["d_cluster"]["value"]) == ("20 random occupation as placed", pytest.approx(alone))
    assert f"{title}: d_cluster {alone:.4g}, " in result.stdout
    result = call("evaluate.py", f"compare=[{tmp_path / 'out/a'},{tmp_path / 'out/b'}]", f"output={tmp_path / 'table'}")
    assert result.returncode == 0, result.stderr
    assert "| b | 1 |" in result.stdout
    assert (tmp_path / "table/comparison.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give benchmark=interface"),
        (("benchmark=alloy", "structures=no.extxyz", "reference=none.extxyz"), "no.extxyz"),
        (("benchmark=alloy", "benchmark.mapping=[1]"), "benchmark.mapping"),
        (("benchmark=interface", "benchmark.region=0.5"), "benchmark.region"),
        (("benchmark=alloy", "structure=x"), "Did you mean structures?"),
    ],
)
def test_a_mistake_ends_in_one_line(arguments, said, tmp_path):
    result = call("evaluate.py", *arguments, f"output={tmp_path}")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1, result.stderr
    assert said in result.stderr


def test_help_shows_every_key():
    result = call("evaluate.py", "--help", "benchmark=interface")
    assert result.stdout.strip() == help_text("evaluate", ["benchmark=interface"]).strip()
    for name in ("evaluate.yaml", "benchmark/interface.yaml"):
        for leaf in leaves(yaml.safe_load((CONFIGS / name).read_text())):
            assert leaf[-1] in INTERNAL or f"{leaf[-1]}=" in result.stdout


@pytest.mark.slow
def test_ten_kills_lose_nothing(tmp_path):
    reference = saved(silicon(3, 0.1, 1, cells=4), tmp_path / "reference.extxyz")
    structures = saved(silicon(150, 0.1, 2, cells=4), tmp_path / "generated.extxyz")
    command = [sys.executable, str(ROOT / "evaluate.py"), "benchmark=silicon", f"structures={structures}"]
    command += [f"reference={reference}", "processes=2"]
    kept, sizes = tmp_path / "killed/descriptors.bin", []
    for _ in range(10):
        process = subprocess.Popen(
            [*command, f"output={tmp_path / 'killed'}"],
            cwd=ROOT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        before = kept.stat().st_size if kept.exists() else 0
        while process.poll() is None and (kept.stat().st_size if kept.exists() else 0) < before + 20_000:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        sizes.append(kept.stat().st_size)
    assert sizes == sorted(sizes)
    for name in ("killed", "whole"):
        result = subprocess.run([*command, f"output={tmp_path / name}"], cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    texts = [
        (tmp_path / name / file).read_text()
        for file in ("metrics.json", "structures.csv")
        for name in ("killed", "whole")
    ]
    assert texts[0] == texts[1]
    assert texts[2] == texts[3]


def test_runs_of_a_folder_are_put_on_one_page(tmp_path):
    write_run(tmp_path / "runs/a", config(seed=1), epochs=1, relaxed=False)
    ended = call("evaluate.py", "report=runs", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "runs/report.html\n"), ended.stderr
    assert (tmp_path / "runs/report/table_run.csv").exists()
    ended = call("evaluate.py", "report=runs", "output=elsewhere", cwd=tmp_path)
    assert ended.stdout == "elsewhere/report.html\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report=nowhere",), "report=nowhere: it is not there"),
        (("report=.",), "report=.: no run is in it; run folders have a config.yaml"),
        (("report=.", "compare=[a]"), "give report=DIR or compare=[DIR,DIR], not both"),
        (
            ("report=.", "structures=a.cif", "wandb=b", "output=c"),
            "report takes no other key than output; leave out structures, wandb",
        ),
        (("compare=[a,b]", "processes=2"), "compare takes no other key than output; leave out processes"),
    ],
)
def test_a_report_of_nothing_is_refused_in_one_line(tmp_path, arguments, said):
    ended = call("evaluate.py", *arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (1, f"evaluate.py: {said}\n")
    assert not list(tmp_path.iterdir())
