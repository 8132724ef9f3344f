"""bfloat16 where it costs nothing: under Lightning's autocast, with the closed form and manual optimisation."""

import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.training.precision import use_precision
from tests.conftest import random_crystals
from tests.support.models import CELL, SIZES, SPECIES, batches_of, quiet_trainer
from train import train

WIDER = {**SIZES, "generator_widths": [32, 32, 32], "discriminator_widths": [32, 32, 32]}


def losses(precision: str, weight: float, pooling: str) -> dict[str, float]:
    model = CryinGAN(
        CELL.tolist(), list(SPECIES), distance_weight=weight, pooling=pooling, **WIDER, generator_learning_rate=1e-3
    )
    batches = batches_of(random_crystals(60, SPECIES, CELL), 4 if weight else 0, 6)
    batches.tensor = batches.tensor.float()
    before = [p.detach().clone() for p in model.parameters()]
    means = {}
    model.log_epoch = means.update
    quiet_trainer(precision=precision).fit(model, batches)
    after = list(model.parameters())
    changed = [not torch.equal(a, b) for a, b in zip(after, before, strict=True)]
    # The last bias of a discriminator has no gradient: real and generated structures cancel.
    assert sum(changed) == len(changed) - len(model.discriminators)
    assert {p.dtype for p in after} == {torch.float32}
    return means


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_training_in_bfloat16_stays_near_float32(weight, pooling):
    rough, single = losses("bf16-mixed", weight, pooling), losses("32-true", weight, pooling)
    assert rough == pytest.approx(single, rel=0.05, abs=0.03)
    assert rough != pytest.approx(single, rel=1e-5, abs=1e-6)


def test_coordinates_are_exact_to_more_than_bfloat16():
    """Their values lie between those that bfloat16 has, and so do the distances from them."""
    model = CryinGAN(CELL.tolist(), list(SPECIES), distance_weight=0.05, **WIDER)
    with torch.autocast("cpu", torch.bfloat16):
        seen = model.features(model.generator(torch.randn(8, 5)))
    for values in seen.values():
        assert values.dtype == torch.float32
        assert (values.bfloat16().float() != values).float().mean() > 0.9


def test_a_discriminator_sees_a_shift_that_bfloat16_does_not():
    network = CryinGAN(CELL.tolist(), list(SPECIES), distance_weight=0.0, **WIDER).discriminators["coordinates"]
    first = network.per_atom[0]
    here = torch.full((1, 3), 0.75)
    assert torch.equal(here.bfloat16(), (here + 1e-3).bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(first(here), first(here + 1e-3))
        assert first(here).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "accelerator", "lightnings", "products"),
    [
        ("32-true", "gpu", "32-true", "high"),
        ("32-true", "cpu", "32-true", "highest"),
        ("32-strict", "gpu", "32-true", "highest"),
        ("64-true", "gpu", "64-true", "highest"),
        ("bf16-mixed", "gpu", "bf16-mixed", "highest"),
    ],
)
def test_products_are_taken_in_tf32_where_it_is_meant(name, accelerator, lightnings, products):
    try:
        assert use_precision(name, accelerator) == lightnings
        assert torch.get_float32_matmul_precision() == products
    finally:
        torch.set_float32_matmul_precision("highest")


def test_a_run_resumes_in_its_own_precision_only(tiny):
    train(tiny("trainer.precision=bf16-mixed", "trainer.max_epochs=1"))
    with pytest.raises(CryinGANError, match=r"trainer\.precision is 32-true here and bf16-mixed in the checkpoint"):
        train(tiny("trainer.max_epochs=2"))
    assert train(tiny("trainer.precision=bf16-mixed", "trainer.max_epochs=2"))


def test_recordings_are_refused_without_a_gpu(tiny):
    with pytest.raises(CryinGANError, match=r"trainer\.capture=true needs one GPU"):
        train(tiny("trainer.capture=true"))
