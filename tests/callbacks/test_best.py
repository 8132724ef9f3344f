import pytest

from cryingan.checkpoints import read_checkpoint
from tests.support import InterruptedRun
from train import train

SCORES = [0.1, 0.5, 0.3, 0.5, 0.4, 0.2]
LATE = f"{{_target_: tests.support.LateScores, scores: {SCORES}, delay: 2}}"
BEST = "{_target_: callbacks.best.KeepBest, key: score, every_n_epochs: 1}"
SETTINGS = (f"+callbacks.late={LATE}", f"+callbacks.best={BEST}")


def epochs(folder):
    return {str(path.relative_to(folder)): read_checkpoint(path)["epoch"] for path in folder.rglob("*.ckpt")}


def test_the_best_epoch_is_kept_however_late_its_value_comes(tiny, tmp_path):
    folder = tmp_path / "run/checkpoints"
    train(tiny(*SETTINGS, "trainer.max_epochs=3"))
    waiting = {"candidates/epoch_000002.ckpt": 1, "candidates/epoch_000003.ckpt": 2}
    assert epochs(folder) == {"best.ckpt": 0, "last.ckpt": 2, "epoch_000003.ckpt": 2, **waiting}
    train(tiny(*SETTINGS, "trainer.max_epochs=6"))
    assert epochs(folder)["best.ckpt"] == 1
    assert {name for name in epochs(folder) if "candidates" in name} == {
        "candidates/epoch_000005.ckpt",
        "candidates/epoch_000006.ckpt",
    }


@pytest.mark.parametrize("epoch", [2, 3, 4])
def test_a_resumed_run_remembers_how_good_the_best_is(tiny, tmp_path, epoch):
    stop = f"+callbacks.stop={{_target_: tests.support.StopAfter, epoch: {epoch}}}"
    with pytest.raises(InterruptedRun):
        train(tiny(*SETTINGS, stop, "trainer.max_epochs=6"))
    train(tiny(*SETTINGS, "trainer.max_epochs=6"))
    assert epochs(tmp_path / "run/checkpoints")["best.ckpt"] == 1
