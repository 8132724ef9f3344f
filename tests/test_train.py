import csv
import json
import sys

import numpy as np
import pytest
import torch
from ase.io import read

from cryingan.errors import CryinGANError, TrainingDiverged
from cryingan.storage.checkpoint import read_checkpoint
from data.module import StructureData
from train import build, train


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_run_folder_holds_everything(tiny, tmp_path, structures_file, capsys):
    summary = "{_target_: callbacks.summary.Summary, run_dir: ${run_dir}}"
    metrics = train(tiny(f"+callbacks.summary={summary}", "callbacks.structures.pictures=1"))
    run = tmp_path / "run"
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert names == {
        ".lock",
        "config.yaml",
        "metrics.csv",
        "run.json",
        "times.csv",
        "summary.json",
        "training.png",
        "checkpoints/last.ckpt",
        "checkpoints/epoch_000004.ckpt",
        *(f"samples/epoch_00000{epoch}.{end}" for epoch in (2, 4) for end in ("extxyz", "png")),
    }
    table = rows(run / "metrics.csv")
    assert [row["epoch"] for row in table] == ["0", "1", "2", "3"]
    assert all(np.isfinite(float(value)) for row in table for value in row.values())
    expected = {
        "score_difference",
        "critic_loss",
        "generator_loss",
        "real_distances",
        "fake_coordinates",
        "penalty_distances",
    }
    expected |= {"gradient_norm_generator", "input_gradient_norm_distances", "learning_rate_distances"}
    assert {f"train/{name}" for name in expected} | {"val/score_difference", "samples/close_pairs"} <= set(table[0])
    assert metrics["train/score_difference"] == pytest.approx(float(table[-1]["train/score_difference"]), rel=1e-6)
    assert set(json.loads((run / "summary.json").read_text())) == {
        "epochs",
        "samples",
        "random atoms",
        "training set",
        "untrained",
        "trained",
    }
    samples = read(run / "samples/epoch_000004.extxyz", ":")
    assert len(samples) == 2
    assert samples[0].symbols.get_chemical_formula("reduce") == read(structures_file).symbols.get_chemical_formula(
        "reduce"
    )
    assert samples[0].get_chemical_symbols() == read(structures_file).get_chemical_symbols()
    assert "epoch 4/4: score difference" in capsys.readouterr().out


def test_where_files_are_is_told_without_measurements_too(tiny, capsys):
    summary = "{_target_: callbacks.summary.Summary, run_dir: ${run_dir}}"
    quick = ("trainer.max_epochs=1", "~callbacks.quality", "~callbacks.structures", f"+callbacks.summary={summary}")
    for told in (True, False):  # the second call finds a run that has ended
        train(tiny(*quick))
        found = capsys.readouterr().out
        assert ("checkpoints/last.ckpt" in found) == told
        assert "figure" not in found, "nothing was measured that it would show"


def test_lambda_zero_builds_no_distance_discriminator_and_computes_no_distances(tiny, monkeypatch):
    def never(*_):
        raise AssertionError("distances were computed")

    for module in ("cryingan.models.cryingan.gan", "data.module"):
        monkeypatch.setattr(sys.modules[module], "neighbor_distances", never)
    metrics = train(tiny("lambda=0", "trainer.max_epochs=1"))
    assert not any("distances" in name for name in metrics)


@pytest.mark.parametrize("network", ["generator", "coordinates", "distances"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_stops_the_run_at_once(tiny, tmp_path, network, value):
    poison = f"{{_target_: tests.support.callbacks.Poison, epoch: 2, network: {network}, value: {value}}}"
    with pytest.raises(TrainingDiverged, match=r"critic_loss.* not finite in epoch 2, batch 0"):
        train(tiny(f"+callbacks.poison={poison}"))
    saved = read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")
    assert saved["epoch"] == 1
    assert all(tensor.isfinite().all() for tensor in saved["state_dict"].values())
    assert len(rows(tmp_path / "run/metrics.csv")) == 2


def test_validation_score_difference_is_that_of_the_held_out_structures(tiny):
    config = tiny("trainer.max_epochs=1", "data.batch_size=24")
    metrics = train(config)
    from configs.schema import plain
    from cryingan.models.cryingan.critic import score_difference
    from cryingan.training.checkpoints import load_model

    data, _ = build(plain(config))
    model = load_model(f"{config.run_dir}/checkpoints/last.ckpt").eval()
    grouped = data.crystals.reordered(data.crystals.grouping)
    held_out = torch.tensor(grouped.fractional[data.split()[1]], dtype=torch.float32)
    with torch.no_grad():
        fake = model.features(model.generator(model.draw_normal(len(held_out), "validation noise", 0, epoch=0)))
        real = model.features(held_out)
        gaps = [
            w * score_difference(model.discriminators[n](real[n]), model.discriminators[n](fake[n]))
            for n, w in model.weights.items()
        ]
    assert metrics["val/score_difference"] == pytest.approx(sum(gaps).item(), rel=1e-4)


@pytest.mark.parametrize("overrides", [("data.validation=1",), ("data.batch_size=0",), ("lambda=-1",)])
def test_impossible_settings_are_refused(tiny, overrides):
    with pytest.raises(CryinGANError, match=overrides[0].split("=")[0]):
        train(tiny(*overrides))


@pytest.mark.parametrize("override", ["lambda=-1", "model.generator_interval=0", "model.ema=2", "seed=-1"])
def test_settings_are_refused_before_the_structures_are_read(tiny, override):
    with pytest.raises(CryinGANError, match=override.split("=")[0]):
        train(tiny(override, "data.path=no/such.extxyz"))


def test_double_precision_runs_and_samples(tiny):
    assert np.isfinite(train(tiny("trainer.precision=64-true", "trainer.max_epochs=1"))["train/score_difference"])


def test_a_run_without_held_out_structures(tiny):
    assert "val/score_difference" not in train(tiny("data.validation=0", "trainer.max_epochs=1"))


def test_the_split_depends_on_its_own_seed_alone(structures_file):
    splits = [StructureData(structures_file, seed=seed).split() for seed in (1, 2)]
    other = StructureData(structures_file, split_seed=1).split()
    assert all(np.array_equal(a, b) for a, b in zip(*splits, strict=True))
    assert not np.array_equal(splits[0][1], other[1])
    assert sorted(np.concatenate(splits[0])) == list(range(24))
    assert len(splits[0][1]) == round(24 * 0.2)
