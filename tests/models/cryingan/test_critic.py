"""The closed form against automatic differentiation of the definition, and against what both must give."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cryingan.models.cryingan import critic
from cryingan.models.cryingan.critic import critic_terms, mean_score, score_difference
from cryingan.models.cryingan.networks import Discriminator
from tests.support.losses import gradient_norms, gradient_penalty

FLOAT64 = 1e-11
COUNTS = [(5,), (3, 1, 4), (1, 1, 1, 2)]


def discriminator(
    counts: tuple[int, ...], pooling: str, features: int = 3, outputs: int = 10, sites: bool = False
) -> Discriminator:
    """Weights and biases of every layer are random, so that no term vanishes."""
    sizes = {"widths": (9, 8, 7), "head": (11, 5), "outputs": outputs}
    network = Discriminator(features, counts, pooling, **sizes, sites=sites).double()
    source = torch.Generator().manual_seed(7)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4, generator=source)
    return network


def features(structures: int, atoms: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(structures)
    real, fake = torch.randn(2, structures, atoms, width, dtype=torch.float64, generator=source)
    return real, fake, torch.rand(structures, dtype=torch.float64, generator=source)


def gradients(network: Discriminator, loss: Tensor) -> list[Tensor]:
    network.zero_grad()
    loss.backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in network.parameters()]


@pytest.mark.parametrize("sites", [False, True])
@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize(("structures", "atoms_at_once"), [(1, 2048), (4, 2048), (5, 11), (3, 1)])
def test_values_and_gradients_equal_those_of_automatic_differentiation(
    structures, atoms_at_once, counts, pooling, sites, monkeypatch
):
    monkeypatch.setattr(critic, "ATOMS_AT_ONCE", atoms_at_once)
    network = discriminator(counts, pooling, features=6, outputs=3, sites=sites)
    real, fake, alpha = features(structures, sum(counts), 6)
    terms = critic_terms(network, real, fake, alpha, weight=2.5)
    penalty = gradient_penalty(network, real, fake, alpha, weight=2.5)
    scores = network(real), network(fake)
    norm = gradient_norms(network, real, fake, alpha).mean()
    expected = penalty - score_difference(*scores), scores[0].mean(), scores[1].mean(), penalty, norm
    torch.testing.assert_close(terms, type(terms)(*expected), rtol=FLOAT64, atol=FLOAT64)
    found, wanted = gradients(network, 0.3 * terms.loss), gradients(network, 0.3 * expected[0])
    torch.testing.assert_close(found, wanted, rtol=FLOAT64, atol=FLOAT64)


def test_only_the_loss_has_a_gradient():
    terms = critic_terms(discriminator((2, 3), "mix"), *features(2, 5, 3))
    assert [term.requires_grad for term in terms] == [True, False, False, False, False]


def test_inputs_are_left_as_they_were():
    network, inputs = discriminator((2, 3), "max"), features(3, 5, 3)
    before = [value.clone() for value in inputs]
    critic_terms(network, *inputs).loss.backward()
    torch.testing.assert_close(list(inputs), before, rtol=0, atol=0)


@pytest.mark.parametrize("structures", [1, 3, 7, 32])
def test_the_last_bias_gets_no_gradient_at_all(structures):
    """Its two halves cancel; a remainder of rounding would move it by a whole learning rate under Adam."""
    network = discriminator((2, 3), "avg").float()
    real, fake, alpha = (value.float() for value in features(structures, 5, 3))
    assert not gradients(network, critic_terms(network, real, fake, alpha).loss)[-1].any()


def test_a_flat_critic_has_the_whole_penalty_and_finite_gradients():
    network = discriminator((2, 2), "avg")
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    terms = critic_terms(network, *features(2, 4, 3))
    assert terms.penalty == 10
    assert all(gradient.isfinite().all() for gradient in gradients(network, terms.loss))


def test_of_equal_atoms_the_maximum_takes_one():
    """Terms and gradients of four equal atoms are those of one, where the features of the four tie exactly.

    Integers make them tie on every processor: no product or sum is rounded, and a fifth of a multiple of 5, which a
    leaky unit makes of a negative one, is exact, too. Rounded features may differ in their last digit from atom to
    atom; then the maxima of different channels may come from different atoms, and the penalty is another one.
    """
    networks = [discriminator(counts, "max") for counts in ((4,), (1,))]
    source = torch.Generator().manual_seed(3)
    for weight, bias in zip(*[iter(networks[0].per_atom.parameters())] * 2, strict=True):
        integers(weight, source)
        integers(bias, source).mul_(5**3)
    networks[1].load_state_dict(networks[0].state_dict())
    real, fake = (integers(x, source).mul_(4 * 5**3) for x in torch.empty(2, 6, 1, 3, dtype=torch.float64))
    alpha = torch.tensor([0, 0.25, 0.5, 0.75, 0.5, 1], dtype=torch.float64)
    terms = critic_terms(networks[0], real.expand(-1, 4, -1), fake.expand(-1, 4, -1), alpha)
    expected = critic_terms(networks[1], real, fake, alpha)
    torch.testing.assert_close(terms, expected, rtol=FLOAT64, atol=0)
    found, wanted = (gradients(*pair) for pair in zip(networks, (terms.loss, expected.loss), strict=True))
    torch.testing.assert_close(found, wanted, rtol=FLOAT64, atol=FLOAT64 * max(g.abs().max().item() for g in wanted))


def integers(tensor: Tensor, source: torch.Generator) -> Tensor:
    """Fill a tensor with integers from -2 to 2."""
    return tensor.data.random_(-2, 3, generator=source)


def test_not_a_number_in_one_structure_reaches_the_loss():
    network = discriminator((2, 3), "avg")
    real, fake, alpha = features(2, 5, 3)
    fake[1, 0, 0] = torch.nan
    assert critic_terms(network, real, fake, alpha).loss.isnan()


def test_bfloat16_under_autocast_is_near_float32_and_keeps_the_parameters_type():
    network = discriminator((20, 30), "avg").float()
    real, fake, alpha = (value.float() for value in features(8, 50, 3))
    exact = critic_terms(network, real, fake, alpha)
    with torch.autocast("cpu", torch.bfloat16):
        rough = critic_terms(network, real, fake, alpha)
    torch.testing.assert_close(rough.loss, exact.loss, rtol=0.05, atol=0.05)
    found, wanted = gradients(network, rough.loss), gradients(network, exact.loss)
    assert {gradient.dtype for gradient in found} == {torch.float32}
    distance = torch.cat([(f - w).flatten() for f, w in zip(found, wanted, strict=True)]).norm()
    assert distance < 0.1 * torch.cat([w.flatten() for w in wanted]).norm()


@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("atoms_at_once", [2048, 7, 1])
def test_the_mean_score_has_the_gradient_of_automatic_differentiation(atoms_at_once, counts, pooling, monkeypatch):
    monkeypatch.setattr(critic, "ATOMS_AT_ONCE", atoms_at_once)
    network = discriminator(counts, pooling, features=6, outputs=3)
    one, _, _ = features(4, sum(counts), 6)
    other = one.clone().requires_grad_()
    one.requires_grad_()
    expected = network(one).mean()
    score = mean_score(network, other)
    torch.testing.assert_close(score, expected, rtol=FLOAT64, atol=FLOAT64)
    expected.backward()
    network.zero_grad()
    (score * score).backward()
    torch.testing.assert_close(other.grad, 2 * expected.detach() * one.grad, rtol=FLOAT64, atol=FLOAT64)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_mean_score_under_autocast_is_near_float32():
    network = discriminator((20, 30), "avg").float()
    made, _, _ = (value.float() for value in features(8, 50, 3))
    scores, slopes = [], []
    for enabled in (False, True):
        given = made.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            score = mean_score(network, given)
        score.backward()
        scores.append(score)
        slopes.append(given.grad)
    torch.testing.assert_close(*scores, rtol=0.05, atol=0.05)
    assert slopes[1].dtype == torch.float32
    assert (slopes[1] - slopes[0]).norm() < 0.2 * slopes[0].norm()
