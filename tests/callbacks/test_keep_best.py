import pytest

from callbacks.epochs import epoch_of
from callbacks.relax_samples import RelaxSamples
from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from tests.support.callbacks import InterruptedRun
from train import train

SCORES = [0.1, 0.5, 0.3, 0.5, 0.4, 0.2]
LATE = f"{{_target_: tests.support.callbacks.LateScores, scores: {SCORES}, delay: 2}}"
BEST = "{_target_: callbacks.keep_best.KeepBest, key: score, mode: max, every_n_epochs: 1}"
SETTINGS = (f"+callbacks.late={LATE}", f"+callbacks.best={BEST}")


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
    train(tiny(f"+callbacks.late={late}", f"+callbacks.best={best}", "trainer.max_epochs=4"))
    assert epochs(tmp_path / "run/checkpoints")["best.ckpt"] == 2
    train(tiny(f"+callbacks.late={late}", f"+callbacks.best={best}", "trainer.max_epochs=6"))
    assert epochs(tmp_path / "run/checkpoints")["best.ckpt"] == 2


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("callbacks.best.key=relax/fraction_below_-0.3",), "is not logged; use .*relax/fraction_below_minus_0_2"),
        (("callbacks.best.key=relax/enrgy",), "relax/enrgy is not logged"),
        (("~callbacks.relax", "callbacks.best.every_n_epochs=1"), "needs callbacks=relax"),
        (("callbacks.best.key=samples/close_pairs",), "needs callbacks.best.mode=min or max"),
        (("callbacks.best.key=relax/energy",), "needs callbacks.best.mode=min or max"),
        (("callbacks.best.mode=lowest",), "needs callbacks.best.mode=min or max"),
    ],
)
def test_keys_that_cannot_tell_what_is_best(tiny, tmp_path, overrides, said):
    with pytest.raises(CryinGANError, match=said):
        train(tiny("callbacks=relax", "potential=pair", *overrides))
    assert not (tmp_path / "run/checkpoints").exists()


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
    settings += ("callbacks.best.key=relax/energy", "callbacks.best.mode=min")
    train(tiny(*settings, "trainer.max_epochs=2"))
    assert epochs(folder)["best.ckpt"] == 0
    assert not list((folder / "candidates").glob("*"))
    train(tiny(*settings))
    assert epochs(folder)["best.ckpt"] in (0, 2)
    assert not list((folder / "candidates").glob("*"))


def test_a_candidate_older_than_a_known_value_is_dropped(tiny, tmp_path):
    """A key that is logged less often than candidates are kept."""
    settings = ("+callbacks.best.key=samples/close_pairs", "+callbacks.best.mode=min")
    settings += ("+callbacks.best._target_=callbacks.keep_best.KeepBest", "+callbacks.best.every_n_epochs=1")
    train(tiny(*settings, "callbacks.quality.every_n_epochs=3", "trainer.max_epochs=3"))
    assert epochs(tmp_path / "run/checkpoints")["best.ckpt"] == 2
    assert not list((tmp_path / "run/checkpoints/candidates").glob("*"))


def test_a_run_says_what_its_best_is_and_when_there_is_none(tiny, tmp_path, capsys):
    best = "+callbacks.best={{_target_: callbacks.keep_best.KeepBest, key: {}, mode: min, every_n_epochs: 1}}"
    train(tiny(best.format("samples/close_pairs"), "trainer.max_epochs=2"))
    assert "best: samples/close_pairs = " in capsys.readouterr().out
    train(tiny(best.format("samples/close_pair"), "trainer.max_epochs=2", f"run_dir={tmp_path / 'other'}"))
    assert "no best.ckpt: samples/close_pair has not been logged" in capsys.readouterr().out
