"""The command line as users type it."""

import csv
import gzip
import os
import re
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml

from configs import entry
from configs.entry import CONFIGS
from configs.help import INTERNAL, help_text
from cryingan.energies.data_card import card_path
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures
from tests.conftest import TINY, compose
from tests.support.command import call, leaves
from tests.support.paths import ROOT

HEAD = 24  # structures of a set


@pytest.mark.parametrize(
    ("script", "argument", "said"),
    [
        ("train.py", "lambda=abc", "'abc'"),
        ("train.py", "lambda=", "lambda"),
        ("train.py", "lambda=-0.1", "0 or more"),
        ("train.py", "lambda=nan", "0 or more"),
        ("train.py", "model.generator_interval=0", "at least 1"),
        ("train.py", "trainer.precision=16-true", "use 32-true | 32-strict | 64-true | bf16-mixed"),
        ("train.py", "pooling=min", "pooling=min: use avg | max | mix"),
        ("train.py", "lamda=1", "Did you mean lambda?"),
        ("train.py", "trainer.max_epocs=1", "Did you mean trainer.max_epochs?"),
        ("train.py", "model.channels=many", "'many'"),
        ("train.py", "data=missing", "alloy_300K"),
        ("train.py", "data.path=no/such.extxyz", "no/such.extxyz"),
        ("train.py", "resume=no/such.ckpt", "no/such.ckpt"),
        ("train.py", "data.types=[Xx]", "data.types=[Xx], type 1: unknown element"),
        ("sample.py", "n=3", "give one of checkpoint=PATH, rival=random data=NAME,"),
        ("evaluate.py", "structures=x", "benchmark=interface | silicon | alloy"),
        ("sample.py", "checkpoint=no/such.ckpt", "no/such.ckpt"),
        ("sample.py", "format=xyz", "format=xyz: use extxyz | cif | poscar"),
    ],
)
def test_a_mistake_ends_in_one_line(script, argument, said):
    result = call(script, argument)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stdout


def explained(node):
    """The path of every key that users set."""
    return [leaf for leaf in leaves(node) if leaf[-1] not in INTERNAL]


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_key_is_explained_where_it_stands(path):
    text = path.read_text()
    assert text.startswith("#")
    inherited = yaml.safe_load(text) or {}
    if path.parent.name in ("hydra", "sweep"):
        return
    lines = text.splitlines()
    for leaf in explained(inherited):
        key = re.compile(rf"\s*(# )?{re.escape(str(leaf[-1]))}:")
        (place,) = [place for place, line in enumerate(lines) if key.match(line)][:1]
        assert "#" in lines[place] or lines[place - 1].lstrip().startswith("#"), leaf


@pytest.mark.parametrize("name", ["train", "sample"])
def test_help_shows_every_key_of_the_default_config(name):
    result = call(f"{name}.py", "--help")
    assert result.returncode == 0
    assert result.stdout.strip() == help_text(name).strip()
    top = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    chosen = [entry for entry in top["defaults"] if isinstance(entry, dict) and "hydra" not in entry]
    files = [
        CONFIGS / group / f"{option}.yaml"
        for entry in chosen
        for group, option in entry.items()
        if option and "$" not in option
    ]
    for path in [CONFIGS / f"{name}.yaml", *files]:
        for leaf in explained(yaml.safe_load(path.read_text())):
            assert re.search(rf"\b{leaf[-1]}=.*# \w", result.stdout), leaf
    assert not re.search(r"\b(defaults:|_self_|_target_|kind\b|\w+_schema)", result.stdout)


def test_help_shows_the_keys_of_extended_files_with_the_values_of_the_option():
    lines = help_text("train", ["trainer=gpu", "callbacks=demo", "experiment=demo"]).splitlines()
    for expected in (
        "data=li2o_licl  # the training structures",
        "  data.batch_size=32  # structures per batch and process",
        "  trainer.accelerator=gpu  # auto | cpu | gpu",
        "  callbacks.last  # the checkpoint that a run resumes from",
        "  callbacks.quality.n=100  # number of samples",
        "  callbacks.relax.n_samples=32  # as many as there is time for",
        "  keys of an option: python train.py potential=ase --help",
        "  callbacks=demo  # see above",
        "  data.batch_size=8  # small steps, many of them",
    ):
        assert expected in [re.sub(r"(?<=\S) +#", "  #", line) for line in lines]
    shown = help_text("train", ["model=flow"])
    for expected in ("preset=flow  ", "  data.batch_size=4  ", "  callbacks.quality.n=64  ", "  model.heun=false  "):
        assert f"\n{expected}" in shown
    shown = help_text("sample", ["evaluate=interface"])
    assert "  evaluate.species=[Li, Co, Sc]  " in shown
    assert "relax=true" in shown


def test_there_is_a_demo():
    assert (CONFIGS / "experiment/demo.yaml").exists()


def write_head(path, folder):
    """Write the first structures of a set, which take less time than all, to a file in a folder."""
    with gzip.open(path, "rt") as whole:
        count = whole.readline()
        lines = [count, *islice(whole, HEAD * (int(count) + 2) - 1)]
    head = folder / "head.extxyz"
    head.write_text("".join(lines))
    return head


@pytest.mark.parametrize("path", sorted((CONFIGS / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_runs_a_step(path, tmp_path):
    config = compose(f"experiment={path.stem}")
    whole = Path(config.data.path)
    if not whole.exists():
        pytest.skip("the data set has not been built")
    data = [f"data.path={write_head(whole, tmp_path)}", f"data.card={config.data.card or card_path(whole)}"]
    shorter = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "callbacks.quality.n=2", "logger=csv"]
    shorter += ["callbacks.structures.n=1", "callbacks.structures.pictures=0", "data.batch_size=2"]
    shorter += ["~callbacks.summary"]
    if config.model.get("steps"):
        assert config.model.steps > 4
        shorter += ["model.steps=4"]
    if config.model.get("steps_per_level"):
        shorter += ["model.steps_per_level=2"]
    if "override /callbacks: demo" in path.read_text():
        shorter += ["callbacks.relax.n_samples=1", "relax.max_steps=1", "relax.backend=serial"]
        shorter += ["callbacks.relax.mode=inline", "callbacks.relax.pictures=0"]
    if path.stem.endswith("_paper"):
        shorter += ["model.hidden=8", "model.frequencies=2"]
    run = f"run_dir={tmp_path / 'run'}"
    result = call("train.py", f"experiment={path.stem}", *data, run, "trainer.accelerator=cpu", *shorter)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run/checkpoints/last.ckpt").exists()


def test_a_sweep_gives_every_combination_its_own_run_and_outlives_a_failing_one(tmp_path, structures_file):
    arguments = ["-m", f"data.path={structures_file}", f"run_dir={tmp_path}/l${{lambda}}s${{seed}}", *TINY]
    result = call("train.py", *arguments, "lambda=0,-1,0.05", "seed=1,2", "trainer.max_epochs=1")
    assert result.returncode == 1
    assert all(f"lambda=-1,seed={seed}" in result.stderr for seed in (1, 2))
    done = {path.parts[-3] for path in tmp_path.glob("*/checkpoints/last.ckpt")}
    assert done == {"l0.0s1", "l0.0s2", "l0.05s1", "l0.05s2"}
    runs = {path.name.rsplit("-", 1)[1] for path in tmp_path.glob("*/wandb/offline-run-*")}
    assert len(runs) == 4
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1, "the report has a run of its own"
    assert f"report of 6 runs: {tmp_path}/report.html" in result.stdout
    with (tmp_path / "report/table_run.csv").open() as file:
        states = {Path(row["folder"]).name: row["state"] for row in csv.DictReader(file)}
    assert all(state.startswith("failed: ") == ("-1" in name) for name, state in states.items())
    assert {name for name in states if "-1" not in name} == done


def test_a_set_without_common_sites_is_told_which_models_take_it(tmp_path):
    glass = Crystals(np.random.default_rng(0).random((20, 6, 3)), 8 * np.eye(3), ("Si",) * 6)
    write_structures(glass, tmp_path / "glass.extxyz")
    run = f"run_dir={tmp_path}/runs/glass/run"
    result = call("train.py", f"data.path={tmp_path / 'glass.extxyz'}", run, "trainer.accelerator=cpu")
    assert result.returncode == 1
    told, _, sized = result.stderr.rstrip().partition(", for a CPU in the size of ")
    advice = "take model=paper, model=diffcsp, or model=flow with model.prior=uniform"
    assert told.endswith(f"in an alloy, in a glass or where vacancies move from site to site: {advice}")
    assert not (tmp_path / "runs").exists(), "a refused set leaves nothing"
    short = ("trainer.max_epochs=1", "callbacks.quality.n=2", "callbacks.structures.n=2", "logger=csv")
    result = call("train.py", f"data.path={tmp_path / 'glass.extxyz'}", *sized.split(), *short, run)
    assert result.returncode == 0, result.stderr


def test_the_command_of_the_sweep_file_trains(tmp_path, structures_file):
    sweep = yaml.safe_load((CONFIGS / "sweep/lambda.yaml").read_text())
    chosen = [f"{name}={parameter['values'][-1]}" for name, parameter in sweep["parameters"].items()]
    fixed = [part for part in sweep["command"] if not part.startswith("${")]
    assert sweep["command"] == ["${env}", *fixed[:1], "${program}", *fixed[1:], "${args_no_hyphens}"]
    short = [f"data.path={structures_file}", f"run_dir={tmp_path}", *TINY, "trainer.max_epochs=1"]
    result = call(sweep["program"], *fixed[1:], *short, *chosen)
    assert result.returncode == 0, result.stderr
    assert "GPU available" not in result.stdout + result.stderr  # Lightning's own messages
    assert (tmp_path / "checkpoints/last.ckpt").exists()


def test_ctrl_c_before_or_after_the_training_ends_in_one_line(tmp_path):
    code = f"""
import sys
from configs.entry import run

def job(config):
    raise KeyboardInterrupt

sys.argv = ["train.py", "run_dir={tmp_path}"]
run("train", job)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stderr) == (130, "train.py: stopped\n")


@pytest.mark.parametrize("arguments", [["--help"], ["compare=[a]"]])
def test_a_script_whose_output_nobody_reads_ends_without_a_word(arguments):
    code = f"""
import sys
from configs.entry import run

sys.argv = ["evaluate.py", *{arguments}]
run("evaluate", print)
"""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, timeout=300)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


def test_types_of_the_command_line():
    config = compose("lambda=0", "seed=0")
    assert isinstance(config["lambda"], float)
    assert config["seed"] == 0
    assert config["run_dir"].endswith("lambda0.0_avg_seed0")


def test_composing_takes_true_and_null_for_a_group_as_the_command_line_does():
    assert entry.compose("sample", "relax=true").relax.optimizer == "fire"
    assert entry.compose("sample").relax is None
    assert entry.compose("train", "logger=null").logger == {}
    assert entry.compose("evaluate", "benchmark=alloy").benchmark.kind == "alloy"
