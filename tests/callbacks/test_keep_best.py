import re
from types import SimpleNamespace

import pytest
import yaml

from callbacks.epochs import epoch_of
from callbacks.keep_best import KeepBest
from callbacks.relax_samples import RelaxSamples
from callbacks.sample_quality import SampleQuality
from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from tests.conftest import random_crystals
from tests.support.callbacks import InterruptedRun
from tests.support.relaxed_runs import RELAX
from tests.support.shared_sites import CELL, SPECIES, interfaces
from train import train

SCORES = [0.1, 0.5, 0.3, 0.5, 0.4, 0.2]
LATE = f"{{_target_: tests.support.callbacks.LateScores, scores: {SCORES}, delay: 2}}"
BEST = "{_target_: callbacks.keep_best.KeepBest, key: score, mode: max, every_n_epochs: 1}"
SETTINGS = (f"+callbacks.late={LATE}", f"callbacks.best={BEST}")


def epochs(folder):
    return {str(path.relative_to(folder)): read_checkpoint(path)["epoch"] for path in folder.rglob("*.ckpt")}


def test_the_best_epoch_is_kept_however_late_its_value_comes(tiny, tmp_path):
    folder = tmp_path / "run/checkpoints"
    train(tiny(*SETTINGS, "trainer.max_epochs=3"))
    waiting = {"candidates/epoch_000002.ckpt": 1, "candidates/epoch_000003.ckpt": 2}
    assert epochs(folder) == {"best.ckpt": 0, "last.ckpt": 2, "epoch_000003.ckpt": 2, **waiting}
    train(tiny(*SETTINGS, "trainer.max_epochs=6"))
    assert epochs(folder)["best.ckpt"] == 3  # as good as epoch 1, and trained longer
    assert {name for name in epochs(folder) if "candidates" in name} == {
        "candidates/epoch_000005.ckpt",
        "candidates/epoch_000006.ckpt",
    }


@pytest.mark.parametrize("epoch", [2, 3, 4])
def test_a_resumed_run_remembers_how_good_the_best_is(tiny, tmp_path, epoch):
    stop = f"+callbacks.stop={{_target_: tests.support.callbacks.StopAfter, epoch: {epoch}}}"
    with pytest.raises(InterruptedRun):
        train(tiny(*SETTINGS, stop, "trainer.max_epochs=6"))
    train(tiny(*SETTINGS, "trainer.max_epochs=6"))
    assert epochs(tmp_path / "run/checkpoints")["best.ckpt"] == 3


def test_the_lowest_value_is_best_where_that_is_meant(tiny, tmp_path):
    best = BEST.replace("mode: max", "mode: min")
    late = LATE.replace("0.1, 0.5, 0.3", "0.3, 0.1, 0.1").replace("delay: 2", "delay: 0")
    train(tiny(f"+callbacks.late={late}", f"callbacks.best={best}", "trainer.max_epochs=4"))
    assert epochs(tmp_path / "run/checkpoints")["best.ckpt"] == 2
    train(tiny(f"+callbacks.late={late}", f"callbacks.best={best}", "trainer.max_epochs=6"))
    assert epochs(tmp_path / "run/checkpoints")["best.ckpt"] == 2


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("callbacks.best.key=relax/fraction_below_-0.3",), "is not logged; use .*relax/fraction_below_0, "),
        (("callbacks.best.key=relax/enrgy",), "relax/enrgy is not logged"),
        (("~callbacks.relax", "callbacks.best.key=relax/energy"), "needs callbacks=relax"),
        (("callbacks.best.key=samples/distance",), "needs callbacks.best.mode=min or max"),
        (("callbacks.best.key=train/score_difference",), "needs callbacks.best.mode=min or max"),
        (("callbacks.best.key=relax/energy_drop",), "needs callbacks.best.mode=min or max"),
        (("callbacks.best.mode=lowest",), "needs callbacks.best.mode=min or max"),
        (("callbacks.best.key=relax/f2",), "relax/f2 is not logged; use .*relax/distinct_minima"),
        (("callbacks.best.key=relax/f1",), "relax/f1 needs training structures that share most of their sites"),
        (("callbacks.best.key=samples/f1",), "samples/f1 needs training structures that share most of their sites"),
        (("callbacks.best.key=samples/close_pair",), "is not logged; use samples/close_pairs, samples/distance"),
        (("callbacks.best.key=alloy/vacancies",), "needs Cr-Fe-Ni structures"),
        (("callbacks.best.key=val/loss",), "val/loss is not logged; use val/score_difference$"),
        (("callbacks.best.key=val/loss", "data.validation=0"), "needs held-out structures: data.validation=0.0"),
        (("callbacks.best.key=train/los",), "is not logged; use train/critic_loss, .*train/learning_rate_generator"),
        (("callbacks.best.key=time/steps_per_second",), "is not in metrics.csv"),
        (("callbacks.best.key=score",), "score is not logged; use .*samples/close_pairs.*train/critic_loss"),
        (
            ("~callbacks.quality", "callbacks.best.key=samples/close_pairs"),
            "needs callbacks.quality, which is left out",
        ),
    ],
)
def test_keys_that_cannot_tell_what_is_best(tiny, tmp_path, overrides, said):
    with pytest.raises(CryinGANError, match=said):
        train(tiny("callbacks=relax", "potential=pair", *overrides))
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.usefixtures("undrawn")
def test_candidates_whose_value_never_comes_are_dropped(tiny, tmp_path, monkeypatch):
    """The second evaluation is given up; in the fourth nothing converges, so that there is no energy."""
    log, folder = RelaxSamples._log, tmp_path / "run/checkpoints"

    def lossy(self, trainer, evaluation):
        log(self, trainer, evaluation)
        epoch = epoch_of(evaluation)
        row = next(logger for logger in trainer.loggers if logger.name == "metrics").rows[epoch]
        if epoch == 1:
            row.pop("relax/energy"), row.pop("relax/failed")
            (evaluation / "error.txt").write_text("given up")
        elif epoch == 3:
            row.pop("relax/energy")

    monkeypatch.setattr(RelaxSamples, "_log", lossy)
    settings = ("callbacks=relax", "potential=pair", "relax.backend=serial", "callbacks.relax.mode=inline")
    settings += ("callbacks.relax.every_n_epochs=1", "callbacks.relax.n_samples=2", "callbacks.relax.pictures=0")
    settings += ("callbacks.best.key=relax/energy",)
    train(tiny(*settings, "trainer.max_epochs=2"))
    assert epochs(folder)["best.ckpt"] == 0
    assert not list((folder / "candidates").glob("*"))
    train(tiny(*settings))
    assert epochs(folder)["best.ckpt"] in (0, 2)
    assert not list((folder / "candidates").glob("*"))


def test_a_candidate_older_than_a_known_value_is_dropped(tiny, tmp_path):
    """A key that is logged less often than candidates are kept."""
    settings = ("callbacks.best.key=samples/close_pairs", "callbacks.best.every_n_epochs=1")
    train(tiny(*settings, "callbacks.quality.every_n_epochs=3", "trainer.max_epochs=3"))
    assert epochs(tmp_path / "run/checkpoints")["best.ckpt"] == 2
    assert not list((tmp_path / "run/checkpoints/candidates").glob("*"))


def test_a_run_says_what_its_best_is_and_when_there_is_none(tiny, tmp_path, capsys):
    best = "callbacks.best={{_target_: callbacks.keep_best.KeepBest, key: {}, mode: min, every_n_epochs: 1}}"
    train(tiny(best.format("samples/close_pairs"), "trainer.max_epochs=2"))
    assert "best: samples/close_pairs = " in capsys.readouterr().out
    late = f"+callbacks.late={LATE}"  # what a callback of one's own logs is not known before
    train(tiny(best.format("scores"), late, "trainer.max_epochs=2", f"run_dir={tmp_path / 'other'}"))
    printed = capsys.readouterr().out
    assert re.search("callbacks.best.key=scores has not been logged so far; metrics.csv has .*train/real_c", printed)
    assert "no best.ckpt: scores has not been logged" in printed


def test_a_best_value_that_no_sample_has_earned_is_called_so(tiny, capsys):
    scores = "{_target_: tests.support.callbacks.LateScores, scores: [0, 0], delay: 0, key: own/f1}"
    best = BEST.replace("key: score", "key: own/f1")
    train(tiny(f"+callbacks.late={scores}", f"callbacks.best={best}", "trainer.max_epochs=2"))
    assert re.search(r"best: own/f1 = 0 after 2 epochs, .*best\.ckpt; no sample is good", capsys.readouterr().out)


SHARED, NONE_SHARED = interfaces(30, 0), random_crystals(30, SPECIES, CELL)


def chosen(training, callbacks, loss=None, held_out=0, translated=(), key=None):
    """The key, its sign and how often it is compared, by default, where a run has these callbacks."""
    data = SimpleNamespace(
        training=training,
        split=lambda: ([0], [1] * held_out),
        translated=translated,
        settings=SimpleNamespace(translate=bool(translated)),
    )
    trainer = SimpleNamespace(
        datamodule=data, callbacks=callbacks, loggers=[], check_val_every_n_epoch=7, is_global_zero=True
    )
    for callback in callbacks:
        if isinstance(callback, SampleQuality):
            callback.setup(trainer, None, "fit")
    best = KeepBest(key)
    best.setup(trainer, SimpleNamespace(held_out_loss=loss), "fit")
    return best.key and (best.key, best.sign, best.every_n_epochs)


def relaxing(n=50, thresholds=(0.0, -0.2)):
    return RelaxSamples({"kind": "pair"}, {}, 1000, n, thresholds)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((SHARED, [SampleQuality(30), relaxing()]), ("relax/f1", 1, 1000)),
        ((SHARED, [relaxing()], "val/loss", 3), ("relax/f1", 1, 1000)),
        ((SHARED, [relaxing(32)]), ("relax/f1", 1, 1000)),
        ((SHARED, [relaxing(31)]), ("relax/distinct_below_0", 1, 1000)),  # of so few the F1 score says little
        ((NONE_SHARED, [relaxing(50, (-0.2, 0.0))]), ("relax/distinct_below_minus_0_2", 1, 1000)),
        ((NONE_SHARED, [relaxing(50, ())]), ("relax/distinct_minima", 1, 1000)),
        ((SHARED, [SampleQuality(30)], "val/loss", 3), ("val/loss", -1, 7)),
        ((SHARED, [SampleQuality(30)], "val/loss"), ("samples/f1", 1, 30)),  # nothing is held out
        ((SHARED, [SampleQuality(30)]), ("samples/f1", 1, 30)),
        ((SHARED, [SampleQuality(30, 32)]), ("samples/f1", 1, 30)),
        ((SHARED, [SampleQuality(30, 31)]), None),
        ((SHARED, [SampleQuality(30)], None, 0, (0, 1)), ("samples/f1", 1, 30)),
        ((NONE_SHARED, [SampleQuality(30)]), None),
        ((SHARED, []), None),
        ((SHARED, [SampleQuality(30), relaxing()], None, 0, (0, 1)), ("relax/fraction_below_0", 1, 1000)),
        ((SHARED, [relaxing(50, ())], None, 0, (0, 1)), None),
    ],
)
def test_what_is_best_by_default(arguments, expected):
    assert chosen(*arguments) == expected


def test_a_density_needs_a_mode():
    with pytest.raises(CryinGANError, match=r"key=relax/density needs callbacks.best.mode=min or max"):
        chosen(SHARED, [SampleQuality(30), relaxing()], key="relax/density")


@pytest.mark.usefixtures("undrawn")
def test_a_run_keeps_the_default_that_it_began_with(tiny, tmp_path):
    former, settings = "relax/fraction_below_0", (*RELAX, "callbacks.relax.mode=inline")

    def key():
        return yaml.safe_load((tmp_path / "run/config.yaml").read_text())["callbacks"]["best"]["key"]

    train(tiny(*settings, f"callbacks.best.key={former}", "trainer.max_epochs=1"))
    train(tiny(*settings, "trainer.max_epochs=2"))
    assert key() == former
    train(tiny(*settings, "callbacks.best.key=relax/distinct_minima", "trainer.max_epochs=3"))
    assert key() == "relax/distinct_minima"
    train(tiny(*settings, "trainer.max_epochs=4"))
    assert key() is None
