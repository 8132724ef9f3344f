"""A second, plain implementation of CryinGAN: convolutions, brute-force images, double backward, all in float64.

It shares no code with the library. Parameters, gradients and buffers go in and come out under the library's names.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


class ReferenceGenerator(nn.Module):
    """State dict as the original program writes it."""

    def __init__(self, n_atoms: int, latent_dim: int, channels: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.channels = channels
        self.l1 = nn.Sequential(nn.Linear(latent_dim, channels * n_atoms), nn.ReLU())
        sizes = (channels, *widths)
        for layer in range(1, 4):
            convolution = nn.ConvTranspose2d(sizes[layer - 1], sizes[layer], (1, 3 if layer == 1 else 1))
            norm = nn.BatchNorm2d(sizes[layer], eps=0.8)
            setattr(self, f"map{layer}", nn.Sequential(convolution, norm, nn.ReLU()))
        self.map4 = nn.Sequential(nn.ConvTranspose2d(widths[-1], 1, (1, 1)))

    def forward(self, noise: Tensor) -> Tensor:
        """(structures, latent_dim) -> fractional coordinates (structures, atoms, 3)."""
        image = self.l1(noise).view(len(noise), self.channels, -1, 1)
        image = self.map4(self.map3(self.map2(self.map1(image))))
        return torch.sigmoid(image)[:, 0]


class ReferenceDiscriminator(nn.Module):
    """A discriminator in convolutions, whose kernels span the features of an atom."""

    def __init__(
        self, features: int, counts: list[int], pooling: str, widths: tuple, head: tuple, outputs: int
    ) -> None:
        super().__init__()
        a, b, c = widths
        self.model = nn.Sequential(
            nn.Conv2d(1, a, (1, features)),
            nn.LeakyReLU(0.2),
            nn.Conv2d(a, b, (1, 1)),
            nn.LeakyReLU(0.2),
            nn.Conv2d(b, c, (1, 1)),
            nn.LeakyReLU(0.2),
        )
        kinds = {"avg": [nn.AvgPool2d], "max": [nn.MaxPool2d], "mix": [nn.MaxPool2d, nn.AvgPool2d]}[pooling]
        self.counts, self.kinds = counts, kinds
        pooled = c * len(kinds) * len(counts)
        self.feature_layer = nn.Sequential(
            nn.Linear(pooled, head[0]), nn.LeakyReLU(0.2), nn.Linear(head[0], head[1]), nn.LeakyReLU(0.2)
        )
        self.output = nn.Sequential(nn.Linear(head[1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(structures, atoms, features) -> (structures, outputs)."""
        image = self.model(x[:, None])  # (structures, channels, atoms, 1)
        blocks = image.split(self.counts, dim=2)
        # With mix pooling the maxima and the averages are further channels: (structures, channels, species, 1).
        pooled = torch.cat(
            [torch.cat([kind((n, 1))(b) for b, n in zip(blocks, self.counts, strict=True)], 2) for kind in self.kinds],
            1,
        )
        return self.output(self.feature_layer(pooled.flatten(1)))  # channel-major


# The library's name of each layer, and the reference's.
PLACES = {
    "latent": "l1.0",
    "layers.0": "map1.0",
    **{f"layers.{3 * layer - 2}": f"map{layer}.1" for layer in (1, 2, 3)},
    **{f"layers.{3 * layer}": f"map{layer + 1}.0" for layer in (1, 2, 3)},
    **{f"per_atom.{i}": f"model.{i}" for i in (0, 2, 4)},
    **{f"per_structure.{i}": f"feature_layer.{i}" for i in (0, 2)},
    "per_structure.4": "output.0",
}


class Layout:
    """Names and axis orders of the library's networks against the reference's, for parameters, gradients and buffers.

    Both map state -> state. `channels` is that of the generator, `species` the number of blocks of a discriminator.
    """

    def __init__(self, channels: int, species: int) -> None:
        self.channels, self.species = channels, species

    def to_reference(self, state: State) -> State:
        """The library's state in the reference's layout."""
        moved = {}
        for name, value in state.items():
            place, _, kind = name.rpartition(".")
            if place == "latent":
                value = value.unflatten(0, (-1, self.channels)).transpose(0, 1).flatten(0, 1)
            elif name == "layers.0.weight":
                value = value.transpose(0, 1)[:, :, None]
            elif name == "per_atom.0.weight":
                value = value[:, None, None]
            elif name == "per_structure.0.weight":
                value = value.unflatten(1, (self.species, -1)).transpose(1, 2).flatten(1)
            elif value.dim() == 2 and not place.startswith("per_structure"):
                value = (value.T if place.startswith("layers") else value)[..., None, None]
            moved[f"{PLACES[place]}.{kind}"] = value
        return moved

    def to_library(self, state: State) -> State:
        """The reference's state in the library's layout."""
        places = {theirs: ours for ours, theirs in PLACES.items()}
        moved = {}
        for name, value in state.items():
            place, _, kind = name.rpartition(".")
            if place == "l1.0":
                value = value.unflatten(0, (self.channels, -1)).transpose(0, 1).flatten(0, 1)
            elif name == "map1.0.weight":
                value = value[:, :, 0].transpose(0, 1)
            elif name == "model.0.weight":
                value = value[:, 0, 0]
            elif name == "feature_layer.0.weight":
                value = value.unflatten(1, (-1, self.species)).transpose(1, 2).flatten(1)
            elif value.dim() == 4:
                value = value[..., 0, 0].T if place.startswith("map") else value[..., 0, 0]
            moved[f"{places[place]}.{kind}"] = value
        return moved


def brute_force_distances(fractional: Tensor, cell: Tensor, k: int, reach: int = 2) -> Tensor:
    """The k nearest among all images within +-reach cells; `fractional` must be wrapped. (structures, atoms, k)."""
    shifts = torch.tensor(list(product(range(-reach, reach + 1), repeat=3)), dtype=fractional.dtype)
    images = (fractional[:, None] + shifts[:, None]).flatten(1, 2) @ cell
    vectors = images[:, None] - (fractional @ cell)[:, :, None]
    return torch.linalg.vector_norm(vectors, dim=-1).topk(k + 1, largest=False).values[..., 1:]


def penalty(critic: nn.Module, real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """The gradient penalty with weight 10, by automatic differentiation."""
    between = (alpha[:, None, None] * real + (1 - alpha[:, None, None]) * fake).detach().requires_grad_()
    outputs = critic(between)
    (slope,) = torch.autograd.grad(outputs, between, torch.ones_like(outputs), create_graph=True)
    return 10 * ((slope.flatten(1) ** 2).sum(1).sqrt() - 1).pow(2).mean()


def reference_cycle(
    states: dict[str, State],
    cell: Tensor,
    counts: list[int],
    batches: list[Tensor],
    noises: list[Tensor],
    generator_noise: Tensor,
    alphas: list[dict[str, Tensor]],
    lambda_: float,
    pooling: dict[str, str],
    k: int,
    learning_rate: float = 5e-5,
    reach: int = 2,
) -> dict:
    """One cycle: a critic step on every batch, and after that of batch 0 a step of the generator.

    Args:
        states: library state dicts (float64) of "generator", "coordinates" and, for lambda_ > 0, "distances".
        cell: float64 (3, 3).
        counts: atoms of each species.
        batches: fractional coordinates of real structures, (structures, atoms, 3) each.
        noises: noise of the critic step of each batch.
        generator_noise: noise of the generator step.
        alphas: for each batch the interpolation points (structures,) of "coordinates" and "distances".
        lambda_: weight of the distance critic; 0 leaves it out.
        pooling: avg, max or mix for "coordinates" and "distances".
        k: neighbours.
        learning_rate: of all three Adams, betas (0.5, 0.999).
        reach: images of the brute-force distances.

    Returns:
        critic_loss, score_difference (lists, one per batch), generator_loss, critic_gradients (list of dicts network ->
        gradients), generator_gradients, and states at the end, all under the library's names.
    """
    nets, layout = _networks(states, counts, pooling)
    weights = {name: 1.0 if name == "coordinates" else lambda_ for name in nets if name != "generator"}
    optimizers = {
        n: torch.optim.Adam(net.parameters(), lr=learning_rate, betas=(0.5, 0.999)) for n, net in nets.items()
    }

    def seen(fractional: Tensor) -> dict[str, Tensor]:
        found = {"coordinates": fractional}
        if "distances" in nets:
            found["distances"] = brute_force_distances(fractional, cell, k, reach)
        return found

    def step(loss: Tensor, names: list[str]) -> dict[str, State]:
        for name in names:
            optimizers[name].zero_grad()
        loss.backward()
        gradients = {n: {key: p.grad.clone() for key, p in nets[n].named_parameters()} for n in names}
        for name in names:
            optimizers[name].step()
        return {name: layout.to_library(gradient) for name, gradient in gradients.items()}

    record = {"critic_loss": [], "score_difference": [], "critic_gradients": []}
    for index, (batch, noise, alpha) in enumerate(zip(batches, noises, alphas, strict=True)):
        real, fake = seen(batch), {name: x.detach() for name, x in seen(nets["generator"](noise)).items()}
        loss, distance = 0, 0
        for name, weight in weights.items():
            gap = nets[name](real[name]).mean() - nets[name](fake[name]).mean()
            loss = loss + weight * (penalty(nets[name], real[name], fake[name], alpha[name]) - gap)
            distance = distance + weight * gap
        record["critic_loss"].append(loss.item())
        record["score_difference"].append(distance.item())
        record["critic_gradients"].append(step(loss, list(weights)))
        if index == 0:
            fake = seen(nets["generator"](generator_noise))
            loss = -sum(weight * nets[name](fake[name]).mean() for name, weight in weights.items())
            record["generator_loss"] = loss.item()
            record["generator_gradients"] = step(loss, ["generator"])["generator"]
    record["states"] = {name: layout.to_library(net.state_dict()) for name, net in nets.items()}
    return record


def _networks(states: dict[str, State], counts: list[int], pooling: dict[str, str]) -> tuple[dict, Layout]:
    """Reference networks with the given weights; every size is read off the tensors."""
    width, channels, _ = states["generator"]["layers.0.weight"].shape
    layout = Layout(channels, len(counts))
    sizes = (width, len(states["generator"]["layers.3.weight"]), len(states["generator"]["layers.6.weight"]))
    latent_dim = states["generator"]["latent.weight"].shape[1]
    nets: dict[str, nn.Module] = {"generator": ReferenceGenerator(sum(counts), latent_dim, channels, sizes)}
    for name, state in states.items():
        if name != "generator":
            widths = tuple(len(state[f"per_atom.{i}.bias"]) for i in (0, 2, 4))
            head = tuple(len(state[f"per_structure.{i}.bias"]) for i in (0, 2))
            features, outputs = state["per_atom.0.weight"].shape[1], len(state["per_structure.4.bias"])
            nets[name] = ReferenceDiscriminator(features, counts, pooling[name], widths, head, outputs)
    for name, net in nets.items():
        net.double().load_state_dict(layout.to_reference(states[name]))
    return nets, layout
