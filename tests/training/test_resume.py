import csv
import re

import pytest

from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from tests.support.callbacks import InterruptedRun
from tests.support.checkpoints import assert_same
from train import train

STOPS = {
    "end of epoch": ("StopAfter", {"epoch": 1}),
    "first batch": ("StopAt", {"epoch": 1, "batch": 0}),
    "in the middle": ("StopAt", {"epoch": 2, "batch": 2}),
    "before the last batch": ("StopAt", {"epoch": 1, "batch": 3}),
}


@pytest.mark.parametrize("distance_weight", ["0", "0.05"])
@pytest.mark.parametrize("stop", STOPS)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tiny, tmp_path, stop, distance_weight):
    name, arguments = STOPS[stop]
    settings = (f"lambda={distance_weight}", "data.batch_size=4", "model.generator_interval=2")
    train(tiny(*settings, f"run_dir={tmp_path / 'whole'}"))

    run_dir = tmp_path / "broken"
    arguments = arguments | ({"run_dir": run_dir} if name == "StopAt" else {})
    stopper = [f"+callbacks.stop.{key}={value}" for key, value in arguments.items()]
    with pytest.raises(InterruptedRun):
        train(
            tiny(*settings, f"run_dir={run_dir}", f"+callbacks.stop._target_=tests.support.callbacks.{name}", *stopper)
        )
    train(tiny(*settings, f"run_dir={run_dir}"))

    assert_same(tmp_path / "whole/checkpoints/last.ckpt", run_dir / "checkpoints/last.ckpt")
    assert (tmp_path / "whole/metrics.csv").read_bytes() == (run_dir / "metrics.csv").read_bytes()
    last = "samples/epoch_000004.extxyz"
    assert (tmp_path / "whole" / last).read_bytes() == (run_dir / last).read_bytes()


def test_a_run_in_double_precision_loses_no_digit(tiny, tmp_path):
    for name, epochs in (("whole", 2), ("broken", 1), ("broken", 2)):
        train(tiny("trainer.precision=64-true", f"run_dir={tmp_path / name}", f"trainer.max_epochs={epochs}"))
    assert_same(tmp_path / "whole/checkpoints/last.ckpt", tmp_path / "broken/checkpoints/last.ckpt")


def test_callbacks_that_sample_do_not_disturb_training(tiny, tmp_path):
    train(tiny(f"run_dir={tmp_path / 'with'}"))
    train(tiny(f"run_dir={tmp_path / 'without'}", "~callbacks.quality", "~callbacks.structures"))
    assert_same(tmp_path / "with/checkpoints/last.ckpt", tmp_path / "without/checkpoints/last.ckpt")


def test_seeds(tiny, tmp_path):
    for name, seed in (("zero", 0), ("zero again", 0), ("one", 1)):
        train(tiny(f"seed={seed}", f"run_dir='{tmp_path / name}'", "trainer.max_epochs=1"))
    zero, again, one = ((tmp_path / name / "metrics.csv").read_bytes() for name in ("zero", "zero again", "one"))
    assert zero == again
    assert zero != one


def test_resume_never_loses_nothing(tiny, tmp_path):
    train(tiny("trainer.max_epochs=1"))
    before = (tmp_path / "run/checkpoints/last.ckpt").read_bytes()
    with pytest.raises(CryinGANError, match="already holds a run"):
        train(tiny("resume=never"))
    assert (tmp_path / "run/checkpoints/last.ckpt").read_bytes() == before


def test_resume_from_a_path(tiny, tmp_path):
    train(tiny("trainer.max_epochs=2"))
    train(tiny(f"resume={tmp_path / 'run/checkpoints/last.ckpt'}", f"run_dir={tmp_path / 'other'}"))
    train(tiny())
    assert_same(tmp_path / "run/checkpoints/last.ckpt", tmp_path / "other/checkpoints/last.ckpt")


@pytest.mark.parametrize(
    ("override", "name"),
    [("model.channels=5", "model.channels"), ("lambda=0", "lambda"), ("pooling=max", "pooling"), ("seed=2", "seed")],
)
def test_another_setting_is_named(tiny, override, name):
    train(tiny("trainer.max_epochs=1"))
    with pytest.raises(CryinGANError, match=rf"other settings: ([^;]*; )*{name} is"):
        train(tiny(override))


@pytest.mark.parametrize("override", ["data.batch_size=6", "data.split_seed=7", "data.validation=0.1"])
def test_other_batches_are_refused(tiny, override):
    train(tiny("trainer.max_epochs=1"))
    with pytest.raises(CryinGANError, match=f"other settings: {override.split('=')[0]} is"):
        train(tiny(override))


@pytest.mark.parametrize("override", ["lambda=0", "data.batch_size=6"])
def test_whoever_resumes_from_a_path_is_offered_its_weights(tiny, tmp_path, override):
    train(tiny("trainer.max_epochs=1"))
    last = tmp_path / "run/checkpoints/last.ckpt"
    for folder in ("run", "other"):
        with pytest.raises(CryinGANError, match=f"; init={last} in the place of resume starts a new run"):
            train(tiny(override, f"resume={last}", f"run_dir={tmp_path / folder}"))
    with pytest.raises(CryinGANError, match=f"another run_dir, where resume=auto starts anew and init={last} from"):
        train(tiny(override))
    train(tiny(override, f"init={last}", f"run_dir={tmp_path / 'new'}", "trainer.max_epochs=1"))


def test_times_of_files_do_not_rewind_a_run(tiny, tmp_path):
    """Copying a run folder gives its files new times."""
    train(tiny("trainer.max_epochs=3", "callbacks.milestones.every_n_epochs=1"))
    (tmp_path / "run/checkpoints/epoch_000001.ckpt").touch()
    train(tiny("trainer.max_epochs=4"))
    assert (tmp_path / "run/metrics.csv").read_text().count("\n") == 5


def test_an_earlier_checkpoint_does_not_overwrite_later_epochs(tiny, tmp_path):
    train(tiny("trainer.max_epochs=3", "callbacks.milestones.every_n_epochs=1"))
    with pytest.raises(CryinGANError, match="already goes further"):
        train(tiny(f"resume={tmp_path / 'run/checkpoints/epoch_000001.ckpt'}"))


def test_a_run_that_is_over_says_so(tiny, capsys):
    train(tiny("trainer.max_epochs=1"))
    capsys.readouterr()
    train(tiny("trainer.max_epochs=1"))
    assert "has all its 1 epochs; raise trainer.max_epochs" in capsys.readouterr().out
    train(tiny("trainer.max_epochs=2"))
    with pytest.raises(CryinGANError, match=r"last\.ckpt is of 2 epochs, more than trainer\.max_epochs=1; raise it"):
        train(tiny("trainer.max_epochs=1"))


def test_a_time_limit_ends_a_job_at_the_end_of_an_epoch_and_the_next_resumes(tiny, tmp_path, capsys):
    quick = ("~callbacks.quality", "~callbacks.structures")
    reached = []
    for _ in range(2):
        train(tiny(*quick, "trainer.max_time='00:00:00:01'", "trainer.max_epochs=100000"))
        reached.append(read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["epoch"] + 1)
        assert (tmp_path / "run/metrics.csv").read_text().count("\n") == reached[-1] + 1
        out = capsys.readouterr().out
        assert out.count(f"max_time=00:00:00:01 ended the training after epoch {reached[-1]} of 100000;") == 1
        left = re.findall(r"(\d):(\d\d):(\d\d) left", out)
        assert {hours + minutes for hours, minutes, _ in left} == {"000"}, "the limit bounds the time left"
        assert max(int(seconds) for *_, seconds in left) <= 1
    assert reached[1] > reached[0] > 0
    train(tiny(*quick, f"run_dir={tmp_path / 'whole'}", f"trainer.max_epochs={reached[1]}"))
    assert_same(tmp_path / "run/checkpoints/last.ckpt", tmp_path / "whole/checkpoints/last.ckpt")


def test_learning_rates_fall_by_epochs(tiny, tmp_path):
    train(tiny("model.schedule_epochs=2", "model.schedule_factor=0.5", "model.generator_learning_rate=0.01"))
    with (tmp_path / "run/metrics.csv").open() as file:
        rates = [float(row["train/learning_rate_generator"]) for row in csv.DictReader(file)]
    assert rates == [0.01, 0.01, 0.005, 0.005]


def test_two_processes_do_not_train_in_one_folder(tiny, tmp_path):
    from cryingan.storage.atomic import make_folder
    from tests.support.locks import locked_elsewhere

    with locked_elsewhere(make_folder(tmp_path / "run")), pytest.raises(CryinGANError, match="another process"):
        train(tiny())


def test_other_structures_are_refused(tiny, tmp_path, structures_file):
    train(tiny("trainer.max_epochs=1"))
    other = tmp_path / "other.extxyz"
    other.write_text(structures_file.read_text().replace("0.1", "0.2"))
    with pytest.raises(CryinGANError, match="not the file"):
        train(tiny(f"data.path={other}"))
