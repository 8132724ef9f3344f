"""The other side of the benchmarks: CryinGAN's step as a first version would write it, in float32 and on any device.

Convolutions, a second backward pass for the penalty, all 27 images of every pair, a generator graph that no
discriminator step needs, and every value fetched at every step. The networks are those that the tests compare with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.plain_distances import plain_distances
from benchmarks.reference_cycle import Layout, ReferenceDiscriminator, ReferenceGenerator, penalty
from cryingan.models.cryingan.gan import CryinGAN

Draws = dict[str, Tensor]


class PlainStep:
    """A second set of networks and optimisers that starts with the weights of a model.

    Args:
        model: gives weights, cell, sizes and settings.
    """

    def __init__(self, model: CryinGAN) -> None:
        settings = model.hparams
        self.k, self.cell, self.weights = settings.n_neighbors, model.cell.to(model.device, model.dtype), model.weights
        first = model.discriminators["coordinates"]
        layout = Layout(settings.channels, len(first.counts))
        self.generator = ReferenceGenerator(
            len(settings.species), settings.latent_dim, settings.channels, settings.generator_widths
        )
        self.critics = {
            name: ReferenceDiscriminator(
                3 if name == "coordinates" else self.k,
                list(critic.counts),
                critic.pooling,
                settings.discriminator_widths,
                settings.head_widths,
                settings.outputs,
            )
            for name, critic in model.discriminators.items()
        }
        self.networks = {"generator": self.generator, **self.critics}
        for name, network in self.networks.items():
            network.load_state_dict(layout.to_reference(model.networks[name].state_dict()))
            network.to(model.device, model.dtype)
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=5e-5, betas=(0.5, 0.999))
            for name, network in self.networks.items()
        }

    def critic_step(self, batch: Tensor, draws: Draws) -> list[float]:
        """Step the discriminators; return loss, score difference and mean outputs.

        Args:
            batch: features of real structures, (structures, atoms, 3 + k).
            draws: the noise, and for each discriminator the interpolation points.
        """
        real = {"coordinates": batch[..., :3], "distances": batch[..., 3:]}
        fake = {name: x.detach() for name, x in self._seen(self.generator(draws["noise"])).items()}
        loss, distance, values = 0.0, 0.0, []
        for name, critic in self.critics.items():
            scores = critic(real[name]).mean(), critic(fake[name]).mean()
            slope = penalty(critic, real[name], fake[name], draws[name])
            loss = loss + self.weights[name] * (scores[1] - scores[0] + slope)
            distance = distance + self.weights[name] * (scores[0] - scores[1])
            values += [*scores, slope]
        self._descend(loss, list(self.critics))
        return [value.item() for value in (loss, distance, *values)]

    def generator_step(self, draws: Draws) -> list[float]:
        """Step the generator and return its loss."""
        for critic in self.critics.values():
            critic.requires_grad_(False)
        fake = self._seen(self.generator(draws["noise"]))
        loss = -sum(weight * self.critics[name](fake[name]).mean() for name, weight in self.weights.items())
        self._descend(loss, ["generator"])
        for critic in self.critics.values():
            critic.requires_grad_(True)
        return [loss.item()]

    def _seen(self, fractional: Tensor) -> dict[str, Tensor]:
        seen = {"coordinates": fractional}
        if "distances" in self.critics:
            seen["distances"] = plain_distances(fractional, self.cell, self.k)
        return seen

    def _descend(self, loss: Tensor, names: list[str]) -> None:
        for name in names:
            self.optimizers[name].zero_grad()
        loss.backward()
        for name in names:
            self.optimizers[name].step()
