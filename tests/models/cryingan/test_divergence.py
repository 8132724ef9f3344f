"""What is not finite stops a run, at the latest when the epoch ends, and changes nothing from there on."""

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from cryingan.errors import TrainingDiverged
from cryingan.models.divergence import FiniteWatch
from cryingan.storage.checkpoint import read_checkpoint
from train import train


class PoisonBatch(Callback):
    """One structure of one batch is not finite; the weights before it are kept, and how many batches followed.

    Args:
        every_step: whether the model looks after every step, as on a CPU, or at the end of the epoch.
    """

    weights = followed = None

    def __init__(self, every_step, epoch=1, batch=2):
        self.every_step, self.at = every_step, (epoch, batch)

    def on_train_start(self, trainer, module):
        module.watch.every_step = self.every_step

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.at:
            PoisonBatch.weights = {k: v.clone() for k, v in module.named_parameters()}
            PoisonBatch.followed = 0
            batch[0, 0, 0] = float("nan")
        elif trainer.current_epoch == self.at[0] and batch_idx > self.at[1]:
            PoisonBatch.followed += 1

    def on_exception(self, trainer, module, exception):
        now = dict(module.named_parameters())
        PoisonBatch.changed = [k for k, v in self.weights.items() if not torch.equal(v, now[k])]
        steps = [state["step"].item() for o in trainer.optimizers for state in o.state.values()]
        PoisonBatch.steps = (min(steps[len(steps) // 2 :]), max(steps))


@pytest.mark.parametrize("every_step", [True, False])
def test_a_batch_that_is_not_finite_changes_no_weight_and_is_named(tiny, tmp_path, every_step):
    poison = f"{{_target_: tests.models.cryingan.test_divergence.PoisonBatch, every_step: {every_step}}}"
    with pytest.raises(TrainingDiverged, match=r"critic_loss.* not finite in epoch 1, batch 2: no weight was changed"):
        train(tiny(f"+callbacks.poison={poison}"))
    assert PoisonBatch.changed == []
    batches = PoisonBatch.steps[1] - 2  # two batches of the second epoch were good
    assert PoisonBatch.steps[0] == PoisonBatch.steps[1]  # Adam counts no step that it did not take
    assert PoisonBatch.followed == (0 if every_step else batches - 3)
    assert read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["epoch"] == 0


def test_the_flag_stays_up_and_the_first_step_is_named():
    watch = FiniteWatch()
    for batch, values in enumerate(([1.0, 2.0], [1.0, float("inf")], [float("nan"), 3.0], [1.0, 1.0])):
        watch.see(torch.tensor(values))
        watch.note(["loss", "norm"], torch.tensor(values), 7, batch)
    assert watch.flag == 1
    with pytest.raises(TrainingDiverged, match=r"^norm not finite in epoch 7, batch 1:"):
        watch.require_finite()


def test_finite_values_raise_nothing_and_are_forgotten():
    watch = FiniteWatch()
    watch.see(torch.ones(3))
    watch.note(list("abc"), torch.ones(3), 0, 0)
    watch.require_finite()
    assert watch.noted == []
