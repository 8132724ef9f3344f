"""Products by MKL and by oneDNN agree; which one is taken, and what a run keeps of it."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.sides import Case, Sides
from cryingan import linear_algebra
from cryingan.errors import CryinGANError
from cryingan.linear_algebra import MKL, ONEDNN, linear, quickest, rounding, transposed_product, use_library
from cryingan.storage.checkpoint import read_checkpoint
from train import train

ONLY_WITH_ONEDNN = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")


@pytest.fixture(autouse=True)
def as_before():
    yield
    use_library(MKL)
    linear_algebra.speeds.cache_clear()


def values_of(dtype: torch.dtype) -> list[torch.Tensor]:
    """A product, its gradients and the gradients of a function of these, and the product that gives gradients."""
    source = torch.Generator().manual_seed(0)
    shapes = (24, 77, 32), (48, 32), (48,)
    x, weight, bias = (
        torch.randn(shape, generator=source, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes
    )
    y = linear(x, weight, bias)
    first = torch.autograd.grad(y.square().sum(), (x, weight, bias), create_graph=True)
    second = torch.autograd.grad(sum(gradient.square().mean() for gradient in first), (x, weight, bias))
    return [y, *first, *second, transposed_product(x.flatten(0, 1), y.flatten(0, 1))]


@ONLY_WITH_ONEDNN
@pytest.mark.parametrize("library", [MKL, ONEDNN])
def test_both_libraries_give_products_and_gradients_of_float64(library):
    expected = values_of(torch.float64)
    use_library(library)
    for found, exact in zip(values_of(torch.float32), expected, strict=True):
        scale = exact.abs().max()
        torch.testing.assert_close(found.double() / scale, exact / scale, rtol=0, atol=1e-5)


@ONLY_WITH_ONEDNN
def test_products_reach_onednn_where_it_is_chosen():
    def operators(rows: int, inputs: int = 32) -> set[str]:
        with profile(activities=[ProfilerActivity.CPU]) as found:
            linear(torch.ones(rows, inputs), torch.ones(48, inputs))
        return {event.key for event in found.key_averages()}

    assert "aten::mkldnn_convolution" not in operators(96)
    use_library(ONEDNN)
    assert "aten::mkldnn_convolution" in operators(96)
    for small in ((97, 32), (8, 32), (96, 3)):  # a prime number of rows, few rows, few channels
        assert "aten::mkldnn_convolution" not in operators(*small)


def test_without_a_choice_products_are_pytorchs_own_bit_for_bit():
    x, weight, bias = torch.randn(96, 32), torch.randn(48, 32), torch.randn(48)
    assert torch.equal(linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))
    assert torch.equal(transposed_product(x, x @ weight.T), x.T @ (x @ weight.T))


@ONLY_WITH_ONEDNN
@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_a_step_by_onednn_has_the_losses_of_the_plain_one(weight):
    use_library(ONEDNN)
    Sides(Case({"Li": 5, "O": 3, "Cl": 4}, [[6.0, 0, 0], [1.0, 6.0, 0], [0, 0, 7.0]], weight, 8)).require_equal(1e-3)


@pytest.mark.parametrize(
    ("vendor", "onednn", "expected"),
    [("GenuineIntel", 200.0, MKL), ("AuthenticAMD", 200.0, ONEDNN), ("AuthenticAMD", 105.0, MKL), ("", None, MKL)],
)
def test_the_quickest_is_mkl_on_intel_and_what_is_measured_elsewhere(vendor, onednn, expected, monkeypatch):
    found = {MKL: 100.0} | ({ONEDNN: onednn} if onednn else {})
    monkeypatch.setattr(linear_algebra, "speeds", lambda: found)
    monkeypatch.setattr(linear_algebra, "processor_vendor", lambda: vendor)
    assert quickest() == expected


def test_onednn_that_is_not_there_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with pytest.raises(CryinGANError, match=r"^trainer\.linear_algebra=onednn: this PyTorch has no oneDNN;"):
        use_library(ONEDNN)
    assert set(linear_algebra.speeds()) == {MKL}


def test_speeds_are_measured_once_and_leave_the_choice():
    before = rounding()
    found = linear_algebra.speeds()
    assert all(speed > 0 for speed in found.values())
    assert linear_algebra.speeds() is found
    assert rounding() == before


WIDE = ("model.generator_widths=[16,16,16]", "model.discriminator_widths=[16,16,16]", "model.channels=16")


@ONLY_WITH_ONEDNN
def test_a_run_keeps_its_library_when_it_resumes_elsewhere(tiny, tmp_path, monkeypatch, capsys):
    def state(folder: str) -> dict:
        return read_checkpoint(tmp_path / folder / "checkpoints/last.ckpt")

    def on(vendor: str, *keys: str) -> str:
        found = {MKL: 100.0, ONEDNN: 200.0}
        monkeypatch.setattr(linear_algebra, "speeds", lambda: found)
        monkeypatch.setattr("callbacks.linear_algebra.speeds", lambda: found)
        monkeypatch.setattr(linear_algebra, "processor_vendor", lambda: vendor)
        train(tiny(*WIDE, *keys))
        said = (line for line in capsys.readouterr().out.splitlines() if line.startswith("matrix products"))
        return next(said, "")

    whole, parts, other = (f"run_dir={tmp_path / name}" for name in ("whole", "parts", "other"))
    assert on("AuthenticAMD", whole) == "matrix products by onednn (2.0 times as fast as mkl)"
    on("AuthenticAMD", parts, "trainer.max_epochs=2")
    half = state("parts")["state_dict"]
    told = on("GenuineIntel", parts)
    assert told.startswith("matrix products by onednn")
    assert told.endswith(", as the run began; trainer.linear_algebra=mkl is quicker here")
    weights = [state(name)["state_dict"] for name in ("whole", "parts")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert on("GenuineIntel", other, "trainer.max_epochs=2") == "", "what is usual needs no line"
    assert any(not torch.equal(value, half[key]) for key, value in state("other")["state_dict"].items())
    assert "; the run began with mkl, so it is no longer bit for bit" in on(
        "GenuineIntel", other, "trainer.linear_algebra=onednn"
    )


@pytest.mark.parametrize("key", ["trainer.precision=64-true", "replicas=2"])
def test_nothing_is_said_where_there_is_no_choice(key, tiny, tmp_path, capsys):
    train(tiny("trainer.max_epochs=1", f"run_dir={tmp_path}/${{seed}}", key))
    assert "matrix products" not in capsys.readouterr().out


def test_onednn_is_refused_where_there_is_no_choice(tiny):
    with pytest.raises(CryinGANError, match=r"^trainer\.linear_algebra=onednn is for CryinGAN, comb and"):
        train(tiny("trainer.linear_algebra=onednn", "trainer.precision=64-true"))


@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_a_processor_that_rounds_otherwise_is_told_of(precision, tiny, monkeypatch, capsys):
    """Also where there is no choice between libraries."""
    keys = (f"trainer.precision={precision}", "~callbacks.quality", "~callbacks.structures")
    for epochs in (1, 2):
        train(tiny(f"trainer.max_epochs={epochs}", *keys))
        assert "rounded otherwise" not in capsys.readouterr().out
    monkeypatch.setattr("callbacks.linear_algebra.rounding", lambda: "another")
    train(tiny("trainer.max_epochs=3", *keys))
    assert "rounded otherwise than where the checkpoint was written" in capsys.readouterr().out
