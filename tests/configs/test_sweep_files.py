"""configs/sweep/: each command line as an agent of W&B builds it, with an agent's environment."""

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from callbacks.relax_samples import RelaxSamples
from configs.entry import CONFIGS
from tests.conftest import TINY
from tests.support.command import call
from tests.support.relaxed_runs import RELAX

FILES = sorted((CONFIGS / "sweep").glob("*.yaml"))
SHORT = (
    *(one for one in TINY if not one.startswith(("model", "trainer.max"))),
    "trainer.max_epochs=1",
    "relax.max_steps=2",
)
SMALL = {"linear": ("model.components=2",), "cryingan": [one for one in TINY if one.startswith("model")]}
SMALL |= dict.fromkeys(("diffcsp", "flow"), ("model.hidden=8", "model.layers=1", "model.steps=4"))


RUNS = [pytest.param(path, -1, id=path.stem) for path in FILES]
RUNS += [pytest.param(CONFIGS / "sweep/models.yaml", which, marks=pytest.mark.slow) for which in (0, 1)]


def chosen(parameter, which):
    """A value that a sweep may choose."""
    return parameter["values"][which] if "values" in parameter else (parameter["min"] * parameter["max"]) ** 0.5


def command_of(sweep, values):
    """The command line, and its arguments for the script."""
    arguments = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    command = create_sweep_command(sweep["command"])
    place = command.index("${args_no_hyphens}")
    return [*command[:place], *arguments["args_no_hyphens"], *command[place + 1 :]]


@pytest.mark.parametrize(("path", "which"), RUNS)
def test_an_agent_trains_a_run_of_its_own(path, which, tmp_path, crystal_file, monkeypatch):
    sweep = yaml.safe_load(path.read_text())
    values = {name: chosen(parameter, which) for name, parameter in sweep["parameters"].items()}
    command = command_of(sweep, values)
    assert command[1:3] == ["python", "${program}"]
    (tmp_path / "parameters.yaml").write_text(yaml.safe_dump({name: {"value": v} for name, v in values.items()}))
    monkeypatch.setenv("WANDB_SWEEP_ID", "sw33p")
    monkeypatch.setenv("WANDB_RUN_ID", "run1d")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(tmp_path / "parameters.yaml"))
    relaxed = RELAX[1:] if "callbacks=relax" in command else ()
    ours = [f"data.path={crystal_file}", f"run_dir={tmp_path}/run", *SHORT, *SMALL[values.get("model", "cryingan")]]
    result = call(sweep["program"], *command[3:], *ours, *relaxed)
    assert result.returncode == 0, result.stderr
    [folder] = tmp_path.glob("run*sweep-sw33p")
    assert len(list(folder.glob("wandb/offline-run-*-run1d"))) == 1
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert all(settings[name] == value for name, value in values.items() if name != "model")
    header = (folder / "metrics.csv").read_text().partition("\n")[0].split(",")
    keys = RelaxSamples(None, {}, thresholds=[0.0]).keys(None)
    logged = keys if relaxed else header  # so few samples are not compared with the set
    assert sweep["metric"]["name"] in logged
    assert "relax/failed" in header or not relaxed
