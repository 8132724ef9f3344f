"""The linear model under a generator, so that adversarial training begins with structures and adds to them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cryingan.geometry.displacements import nearest_along_axes
from cryingan.models.linear.components import Components

FEW_STEPS, ENOUGH_STEPS = 1000, 2500  # of the generator (docs/choosing.md, "How long, and when to stop")
REACH = 2.0  # Angstrom; how far the generator can move an atom along an axis of space


class LinearStart(nn.Module):
    """Structures of the linear model of the training set, from the same noise, which the generator's outputs displace.

    The first numbers of a noise vector are the code of a structure, as many as there are components, and the others are
    not used: with them, too, samples of `li2o_licl` had more atoms that were too near. Outputs of 1/2
    leave an atom where the linear model places it, 0 and 1 move it by `REACH` in each direction of space.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3).
    """

    def __init__(self, cell: Tensor) -> None:
        super().__init__()
        self.components = Components()
        self.register_buffer("cell", cell.double(), persistent=False)
        self.register_buffer("inverse", torch.linalg.inv(cell.double()), persistent=False)

    def forward(self, noise: Tensor, outputs: Tensor) -> Tensor:
        """Fractional coordinates in [0, 1], shape (..., structures, atoms, 3).

        Args:
            noise: shape (..., structures, latent_dim).
            outputs: of the generator for it, between 0 and 1, shape (..., structures, atoms, 3).

        Raises:
            CryinGANError: the linear model is not fitted yet.
        """
        self.components.require_fitted()
        with torch.autocast(noise.device.type, enabled=False):
            linear = self.components.displacements(noise[..., : len(self.components.modes)])
            moves = linear + REACH * (2 * outputs.double() - 1)
            return ((self.components.sites.double() + moves @ self.inverse.double()) % 1.0).to(outputs.dtype)

    def codes(self, noise: Tensor) -> Tensor:
        """Noise (..., structures, latent_dim) as the generator takes it: numbers that are no component's are zero."""
        used = len(self.components.modes)
        extra = noise.shape[-1] - used
        return nn.functional.pad(noise[..., :used], (0, extra)) if extra > 0 else noise

    def displacements(self, fractional: Tensor) -> Tensor:
        """From the sites to the images of the atoms that are nearest along each axis, Angstrom, of the same shape."""
        with torch.autocast(fractional.device.type, enabled=False):
            apart = fractional.double() - self.components.sites.double()
            return nearest_along_axes(apart, self.cell).to(fractional.dtype)


def begin_at_rest(generator: nn.Module) -> None:
    """Zero the last layer of a generator: every output is 1/2."""
    last = generator.layers[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


def told_of_few_steps(epochs: int, steps: int) -> str | None:
    """A line about a training whose samples stay near those of the linear model; None of a longer one.

    Args:
        epochs: of the training.
        steps: of the generator in each of them.

    Example:
        >>> told_of_few_steps(20, 5)
        'only 100 steps: samples are still near those of the linear model; ... model.schedule_epochs=10'
        >>> told_of_few_steps(50, 53)
    """
    if not 0 < epochs * steps < FEW_STEPS:
        return None
    enough = -(-ENOUGH_STEPS // steps)
    return (
        f"only {epochs * steps} steps: samples are still near those of the linear model; some {ENOUGH_STEPS:,} are "
        f"needed, in a run of its own with trainer.max_epochs={enough} model.schedule_epochs={max(1, enough // 50)}"
    )
