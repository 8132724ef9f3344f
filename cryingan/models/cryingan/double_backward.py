"""Loss terms of a discriminator of any kind by automatic differentiation.

The penalty is differentiated through the backward pass of the discriminator, which needs second derivatives;
`cryingan.models.cryingan.critic` has the same in closed form for the discriminators of CryinGAN.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cryingan.models.cryingan.critic import CriticTerms


def critic_terms(discriminator: nn.Module, real: Tensor, fake: Tensor, mix: Tensor, weight: float) -> CriticTerms:
    """As `cryingan.models.cryingan.critic.critic_terms`; arguments and result are the same."""
    mix = mix[:, None, None]
    between = (mix * real + (1 - mix) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    norms = torch.linalg.vector_norm(gradient, dim=(1, 2))
    penalty = weight * (norms - 1).square().mean()
    of_real, of_fake = discriminator(torch.cat([real, fake])).to(real.dtype).mean(dim=-1).chunk(2)
    score_real, score_fake = of_real.mean(), of_fake.mean()
    loss = penalty - (score_real - score_fake)
    return CriticTerms(loss, score_real.detach(), score_fake.detach(), penalty.detach(), norms.mean().detach())


def mean_score(discriminator: nn.Module, features: Tensor) -> Tensor:
    """The mean of the outputs for features (structures, atoms, features), with no gradient by the parameters."""
    held = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    return torch.func.functional_call(discriminator, held, (features,)).to(features.dtype).mean()
