"""The dashboard that W&B would get: its keys, groups, columns and tags are those of runs."""

import json
import subprocess
import sys

import pytest

from callbacks.dashboard import DashboardSettings, main, specification
from callbacks.relax_samples import RelaxSamples
from configs.entry import instantiate
from configs.schema import plain
from cryingan.errors import CryinGANError
from cryingan.storage.fraction_keys import random_key
from cryingan.structures.files import read_structures, write_structures
from tests.conftest import TINY, compose
from tests.support.paths import ROOT
from tests.support.relaxed_runs import RELAX
from tests.support.shared_sites import interfaces
from tests.support.wandb_files import inspect, records
from train import train

pytest.importorskip("wandb_workspaces", reason="needs the extra `dashboard`")
OF_OTHER_SETS = {random_key(percent) for percent in (50, 10, 1)}  # whose card has random structures
OF_OTHER_MODELS = {"train/loss", "val/loss"}
ENOUGH = (
    "callbacks.quality.n=6",
    "callbacks.relax.n_samples=6",
    "callbacks.relax.thresholds=[0,-0.2]",
    "relax.fmax=1000",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What an offline run has: its record, its configuration, its summary and the keys that it has logged."""
    folder = tmp_path_factory.mktemp("dashboard") / "run"
    path = folder.with_name("crystal.extxyz")
    write_structures(interfaces(24, 0), path)
    few = [one for one in TINY if "quality.n" not in one and "trainer.max" not in one and "pictures" not in one]
    relax = [
        one
        for one in RELAX
        if "n_samples" not in one and "thresholds" not in one and "pictures" not in one and "fmax" not in one
    ]
    arguments = (f"data.path={path}", f"run_dir={folder}", "logger=wandb", *few, *relax, *ENOUGH)
    train(compose(*arguments, "trainer.max_epochs=2", "callbacks.relax.pictures=1", "callbacks.structures.pictures=1"))
    (offline,) = (folder / "wandb").glob("offline-run-*")
    report = json.loads(inspect(offline, "--summary", "--json"))
    logged = {key.removesuffix("._type") for item in records(offline, "history") for key in item["item"]}
    return {**report, "record": records(offline, "run")[0], "logged": logged}


def found(node, name):
    """The values of a key, wherever in a specification."""
    if isinstance(node, list):
        return [value for one in node for value in found(one, name)]
    if not isinstance(node, dict):
        return []
    inner = [value for one in node.values() for value in found(one, name)]
    return [*inner, node[name]] if name in node else inner


@pytest.mark.parametrize("part", ["workspace", "report"])
def test_panels_have_the_keys_that_runs_log(run, part):
    spec = specification(DashboardSettings())[part]
    curves = [key for keys in found(spec, "metrics") for key in keys]
    assert len(curves) == len(set(curves)) > 20
    assert set(curves) - run["logged"] == OF_OTHER_SETS | OF_OTHER_MODELS
    assert RelaxSamples(None, {}, thresholds=[]).keys(None) >= OF_OTHER_SETS
    media = {key for keys in found(spec, "mediaKeys") for key in keys}
    assert media == {"samples/structures", "relax/structures", "relax/energies"}
    assert media <= run["logged"]
    panels = [panel for panel in found(spec, "config") if "metrics" in panel]
    assert {panel["xAxis"] for panel in panels} == {"epoch"}
    assert "epoch" in run["logged"]


@pytest.mark.parametrize("part", ["workspace", "report"])
def test_columns_are_settings_and_best_values(run, part):
    spec = specification(DashboardSettings())[part]
    points = [axis for name in ("xAxis", "yAxis") for axis in found(spec, name) if ":" in axis]
    columns = {name for columns in found(spec, "columnPinned") for name in columns} | set(points)
    assert {"run:displayName", "config:lambda.value", "config:model.value._target_"} <= columns
    for section, _, name in (column.partition(":") for column in columns):
        if section == "summary":
            key, _, best = name.rpartition(".")
            assert best in run["summary"][key], name
        elif section == "config":
            first, *rest = name.split(".")
            value = run["config"][first]
            assert rest == ["value"] or value[rest[1]]
    keys = {sort["key"]["name"] for sorts in found(spec, "sort") for sort in sorts["keys"]}
    assert keys == {"relax/f1.max"}


@pytest.mark.parametrize("part", ["workspace", "report"])
def test_bands_are_over_the_seeds_of_a_setting_and_tags_filter(run, part):
    spec = specification(DashboardSettings(tags=["crystal"]))[part]
    assert {(key["section"], key["name"]) for keys in found(spec, "grouping") for key in keys} == {("run", "group")}
    assert run["record"]["run_group"] == "crystal_lambda0.05_avg"
    assert set(found(spec, "groupArea")) == {"minmax"}
    filters = json.dumps(found(spec, "filters"))
    assert "tags" in filters
    assert '"crystal"' in filters
    assert "crystal" in run["record"]["tags"]


def test_the_keys_of_other_models_are_theirs(crystal_file):
    crystals = read_structures(crystal_file)
    arguments = {"cell": crystals.cell.tolist(), "species": list(crystals.species)}
    for name in ("diffcsp", "flow"):
        node = plain(compose(f"model={name}", f"data.path={crystal_file}", "model.hidden=8", "model.layers=1"))["model"]
        assert instantiate(node, **arguments).logged_keys >= OF_OTHER_MODELS


def test_thresholds_name_the_keys():
    spec = specification(DashboardSettings(thresholds=[-0.5]))
    assert "relax/fraction_below_minus_0_5" in json.dumps(spec)
    assert "relax/fraction_below_0_" not in json.dumps(spec)


def test_the_command_writes_what_would_be_sent_without_a_login(tmp_path):
    command = [sys.executable, "-m", "callbacks.dashboard", "project=mine", f"save={tmp_path}/spec.json"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (result.returncode, result.stdout) == (0, f"{tmp_path}/spec.json\n"), result.stderr
    assert json.loads((tmp_path / "spec.json").read_text()).keys() == {"workspace", "report"}


def test_errors_are_one_line(monkeypatch):
    monkeypatch.setattr("wandb.Api", lambda: (_ for _ in ()).throw(RuntimeError("no key\nno login")))
    with pytest.raises(CryinGANError, match=r"W&B: no key no login; wandb login, or save=FILE, which needs none"):
        main(DashboardSettings())
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(CryinGANError, match=r"pip install -e \.\[dashboard\]"):
        main(DashboardSettings())
