"""A recorded step against the same step run as it is; the recorder here needs no GPU."""

from __future__ import annotations

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cryingan.models.cryingan.gan import CryinGAN
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.training import cuda_graphs as capture
from cryingan.training.cuda_graphs import Replay
from tests.conftest import random_crystals
from tests.support.models import CELL, SIZES, SPECIES, batches_of, quiet_trainer
from tests.support.recording import on_the_spot
from train import train


def trained(run_step=None, weight: float = 0.05, epochs: int = 6, **settings) -> tuple[CryinGAN, object]:
    """A model after some epochs of 3 batches, the last one ragged, with learning rates that fall every 2 epochs."""
    model = CryinGAN(
        CELL.tolist(),
        list(SPECIES),
        distance_weight=weight,
        pooling="mix",
        **SIZES,
        schedule_epochs=2,
        schedule_factor=0.5,
        ema=0.9,
    )
    model.double()  # in float32 Adam makes a whole step of a gradient that is nothing but rounding
    if run_step is not None:
        model.run_step = run_step
    batches = batches_of(random_crystals(16, SPECIES, CELL), 4 if weight else 0, 6)
    trainer = quiet_trainer(precision="64-true")
    trainer.fit_loop.max_epochs = epochs
    trainer.fit(model, batches, **settings)
    return model, trainer


def states(model: CryinGAN, trainer) -> list[Tensor]:
    moments = [value for o in trainer.optimizers for state in o.state.values() for value in state.values()]
    return [*model.state_dict().values(), *moments]


@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_replayed_steps_equal_those_that_are_run_bit_for_bit(weight, monkeypatch):
    replay = Replay(on_the_spot)
    replayed = trained(replay, weight)
    assert len(replay.recordings) == 3  # two shapes of the discriminators' step; the generator's is on the first batch
    assert all(replay.runs[key] > capture.WARM_UP for key in replay.recordings)
    monkeypatch.setattr(capture, "WARM_UP", 10**9)
    run = trained(Replay(on_the_spot), weight)
    assert all(torch.equal(a, b) for a, b in zip(states(*replayed), states(*run), strict=True))
    plain = trained(None, weight)
    assert replayed[1].global_step == plain[1].global_step
    # The learning rates are float32 tensors in one and Python's numbers in the other.
    torch.testing.assert_close(states(*replayed), states(*plain), rtol=1e-6, atol=1e-8)
    assert replayed[1].optimizers[0].param_groups[0]["lr"].item() == pytest.approx(5e-5 / 8)


def test_a_run_resumes_with_or_without_recordings_and_its_file_is_the_same(tmp_path):
    path = tmp_path / "half.ckpt"
    _, trainer = trained(Replay(on_the_spot), epochs=5)
    trainer.save_checkpoint(path)
    saved = read_checkpoint(path)
    for state in saved["optimizer_states"]:
        assert state["param_groups"][0]["capturable"] is False
        assert isinstance(state["param_groups"][0]["lr"], float)
    assert all(isinstance(rate, float) for state in saved["lr_schedulers"] for rate in state["_last_lr"])
    whole = trained(Replay(on_the_spot), epochs=7)
    for run_step in (None, Replay(on_the_spot)):
        resumed = trained(run_step, epochs=7, ckpt_path=path)
        torch.testing.assert_close(states(*resumed), states(*whole), rtol=1e-6, atol=1e-8)


class NoCopies(TorchDispatchMode):
    """Fails where something is copied to an accelerator from elsewhere, a number included."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if operation.overloadpacket is torch.ops.aten.copy_:
            target, source = args[:2]
            assert isinstance(source, Tensor), f"the number {source} is copied"
            assert source.device == target.device, f"copied from {source.device} to {target.device}"
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_no_step_asks_the_device_for_a_value(weight, pooling):
    """Tensors without content stand for those of an accelerator: whatever needs a value of them fails.

    Nor is anything copied there, for which the host would wait and which no recording may do.
    """
    model = CryinGAN(CELL.tolist(), list(SPECIES), distance_weight=weight, pooling=pooling, ema=0.9, **SIZES).to("meta")
    fabric = Fabric(accelerator="cpu", devices=1)
    model.fabric = fabric  # the model keeps a weak reference
    model.configure_optimizers()
    optimizers = {name: torch.optim.SGD(network.parameters()) for name, network in model.networks.items()}
    batch = torch.empty(6, 10, 7 if weight else 3, device="meta")
    mixes = [torch.empty(6, device="meta") for _ in model.discriminators]
    critics = {name: optimizers[name] for name in model.discriminators}
    with NoCopies():
        values = model._train_discriminators(critics, batch, torch.empty(6, 5, device="meta"), *mixes)
    assert values.shape == (len(model.critic_means.names),)
    with NoCopies():
        values = model._train_generator({"generator": optimizers["generator"]}, torch.empty(6, 5, device="meta"))
    assert values.shape == (len(model.generator_means.names),)
    with pytest.raises((RuntimeError, NotImplementedError)):
        model.watch.require_finite()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("replicas", [1, 2])
def test_cuda_graphs_train_as_their_steps_do(tiny, tmp_path, replicas):
    found = []
    for captured in ("false", "true"):
        folder = tmp_path / captured
        keys = [f"run_dir={folder}/${{seed}}", f"replicas={replicas}", f"trainer.capture={captured}"]
        train(tiny("trainer.accelerator=gpu", "trainer.precision=64-true", "trainer.max_epochs=6", *keys))
        found.append(read_checkpoint(folder / f"{replicas}/checkpoints/last.ckpt")["state_dict"])
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-8)
