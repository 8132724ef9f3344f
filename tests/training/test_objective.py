"""objective=KEY: what train.py returns to a sweeper."""

import csv

import pytest

from cryingan.errors import CryinGANError
from cryingan.training.objective import require_objective
from train import train

QUICK = ("trainer.max_epochs=2", "~callbacks.structures")


def test_the_last_value_of_the_key_is_returned_also_of_a_finished_run(tiny, tmp_path):
    value = train(tiny(*QUICK, "objective=samples/close_pairs"))
    with (tmp_path / "run/metrics.csv").open() as file:
        assert value == float(list(csv.DictReader(file))[-1]["samples/close_pairs"])
    assert train(tiny(*QUICK, "objective=samples/close_pairs")) == value


def test_of_replicas_the_mean_is_returned(tiny, tmp_path):
    """Of a key that has had another name, by which it is found, too."""
    command = [*QUICK, "objective=train/wasserstein", f"run_dir='{tmp_path}/r${{seed}}'"]
    each = [train(tiny(*command, f"seed={seed}")) for seed in (1, 2)]
    assert train(tiny(*command, "replicas=2")) == pytest.approx(sum(each) / 2, rel=1e-12)


def test_a_key_that_is_never_logged_is_named_with_those_that_are(tiny):
    late = "+callbacks.late={_target_: tests.support.callbacks.LateScores, scores: [1, 2], delay: 0}"
    with pytest.raises(CryinGANError, match=r"objective=no/such has not been logged; .*samples/close_pairs.*, score, "):
        train(tiny(*QUICK, late, "objective=no/such"))


def test_a_misspelt_key_is_refused_before_the_first_epoch(tiny, tmp_path):
    with pytest.raises(CryinGANError, match=r"objective=samples/close_pair is not logged; use samples/close_pairs"):
        train(tiny(*QUICK, "objective=samples/close_pair"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("objective", "searches", "said"),
    [
        ("relax/fraction_below_0", False, "needs callbacks=relax"),
        ("time/step", False, "not in metrics.csv"),
        (None, True, "add objective=KEY"),
    ],
)
def test_what_can_never_be_optimised_is_refused_before_training(objective, searches, said):
    with pytest.raises(CryinGANError, match=said):
        require_objective(objective, {"quality": {}}, searches)
