"""Any logger of Lightning works: settings and metrics reach it, and the run closes."""

import csv
import importlib.util

import pytest
import yaml

from cryingan.errors import CryinGANError
from train import train

PLAIN = (
    "+logger.plain={_target_: lightning.pytorch.loggers.CSVLogger, save_dir: ${run_dir}, name: lightning, version: ''}"
)


def test_a_logger_of_lightning_gets_settings_and_metrics(tiny, tmp_path):
    train(tiny(PLAIN, "trainer.max_epochs=2"))
    folder = tmp_path / "run/lightning"
    with (folder / "metrics.csv").open() as file:
        logged = [row for row in csv.DictReader(file) if row["train/score_difference"]]
    with (tmp_path / "run/metrics.csv").open() as file:
        ours = list(csv.DictReader(file))
    assert [row["train/score_difference"] for row in logged] == [row["train/score_difference"] for row in ours]
    assert yaml.safe_load((folder / "hparams.yaml").read_text())["pooling"] == "avg"


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_logger_that_is_not_installed_is_named(tiny, name):
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(CryinGANError, match=name):
        train(tiny(f"logger={name}", "trainer.max_epochs=1"))


def test_tensorboard_has_events(tiny, tmp_path):
    pytest.importorskip("tensorboard")
    train(tiny("logger=tensorboard", "trainer.max_epochs=1"))
    assert list((tmp_path / "run/tensorboard").glob("events.out.tfevents*"))
