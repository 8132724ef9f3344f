"""W&B sends an alert of a training that diverged and of samples that collapsed, once each."""

import math
from types import SimpleNamespace

import pytest

from callbacks.wandb_alerts import WandbAlerts
from cryingan.errors import TrainingDiverged
from tests.support.wandb_files import records
from train import train


class Run:
    name = "one"

    def __init__(self):
        self.alerts = []

    def alert(self, title, text, level):
        self.alerts.append((title, text, level))


@pytest.fixture
def run(monkeypatch):
    run = Run()
    monkeypatch.setattr("callbacks.wandb_alerts.wandb_runs", lambda trainer: [run])
    return run


def after(alerts, coverages, first=0, epochs=100, key="samples/coverage"):
    """End epochs with these coverages; None where it is not measured."""
    for epoch, coverage in enumerate(coverages, start=first):
        values = {} if coverage is None else {key: coverage}
        alerts.on_train_epoch_end(
            SimpleNamespace(current_epoch=epoch, max_epochs=epochs, callback_metrics=values), None
        )


@pytest.mark.parametrize("key", ["samples/coverage", "relax/coverage"])
def test_a_collapse_is_told_once_also_when_the_run_resumes(run, key):
    alerts = WandbAlerts()
    after(alerts, [0, 0.01, None, math.nan, 0.5, 0.3], key=key)
    assert run.alerts == [], "a generator that has not learnt yet"
    after(alerts, [0.02, 0.0, 0.6], first=6, key=key)
    [(title, text, level)] = run.alerts
    assert (title, level) == ("one: samples collapsed", "WARN")
    assert text.startswith(f"{key} = 0.02 after 7 epochs; it was 0.5")
    resumed = WandbAlerts()
    resumed.load_state_dict(alerts.state_dict())
    after(resumed, [0.0, 0.0], first=9, key=key)
    assert len(run.alerts) == 1


def test_samples_that_never_cover_anything_are_told_of_at_half_time(run):
    after(WandbAlerts(), [0.0] * 9, epochs=10)
    [(_, text, _)] = run.alerts
    assert text.startswith("samples/coverage = 0 after 6 epochs: samples are like few or none")


def test_a_set_without_shared_sites_has_no_coverage_and_no_alert(run):
    after(WandbAlerts(), [None] * 10, epochs=10)
    assert run.alerts == []


def test_a_training_that_diverges_is_told_of(tiny, tmp_path):
    poison = "{_target_: tests.support.callbacks.Poison, epoch: 1, network: generator, value: nan}"
    quick = ("logger=wandb", "~callbacks.quality", "~callbacks.structures")
    with pytest.raises(TrainingDiverged):
        train(tiny(*quick, f"+callbacks.poison={poison}"))
    (folder,) = (tmp_path / "run/wandb").glob("offline-run-*")
    [alert] = records(folder, "alert")
    assert alert["title"] == "lambda0.05_avg_seed1: training diverged"
    assert "not finite in epoch 1, batch 0" in alert["text"]
    assert alert["level"] == "ERROR"
