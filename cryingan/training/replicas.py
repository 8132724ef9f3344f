"""Train models of one shape together: networks are stacked, and their steps are one step."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cryingan.errors import CryinGANError
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.training.cuda_graphs import Replay


class Replicas(CryinGAN):
    """Several models as one: `training_step` is that of every model, in batched matrix products.

    All parameters, features and losses have one more axis in front, the models. Parameters, running statistics and
    Adam's moments of each model are views of the stacked ones; random numbers come from its own seed; and it has its
    own means, counters and `watch`. So models can be sampled, saved and changed in place as if they were alone.

    Args:
        models: all at the same batch of the same epoch.
    """

    def __init__(self, models: Sequence[CryinGAN]) -> None:
        first = models[0]
        super().__init__(**first.hparams)
        self.to(first.device, first.dtype)
        self.__dict__["models"] = list(models)  # not as submodules
        self.generator = stacked([model.generator for model in models])
        self.translated, self.start = first.translated, first.start
        if self.averaged is not None:
            self.averaged.module = stacked([model.averaged.module for model in models])
        for name in first.discriminators:
            self.discriminators[name] = stacked([model.discriminators[name] for model in models])
        for name in first.weights:
            weights = [model.weights[name] for model in models]
            self.weights[name] = torch.tensor(weights, dtype=first.dtype, device=first.device)
        for name in ("critic_means", "generator_means"):
            delattr(self, name)  # a module can only be replaced by a module
            setattr(self, name, _EachMeans([getattr(model, name) for model in models]))
        self.watch = _EachWatch([model.watch for model in models])
        self.adams = [
            StackedAdam(network, [model.optimizers()[number].optimizer for model in models])
            for number, network in enumerate(self.networks.values())
        ]
        for model in (self, *models):
            if isinstance(first.run_step, Replay):  # recordings refer to the tensors of before
                model.run_step = Replay(first.run_step.record)

    def training_step(self, batches: Sequence[Tensor], batch_idx: int) -> None:
        """The step of every model with its own batch."""
        if batch_idx == 0:
            for adam in self.adams:
                adam.follow_schedules()
        super().training_step(torch.stack(list(batches)), batch_idx)
        generator_too = batch_idx % self.hparams.generator_interval == 0
        for number, adam in enumerate(self.adams):
            if number or generator_too:
                adam.share_state()
                for model in self.models:
                    optimizer = model.optimizers()[number]  # Lightning's, which counts the steps of a run
                    optimizer._on_before_step()
                    optimizer._on_after_step()
                    optimizer.optimizer._opt_called = True  # or its schedule would warn that it has taken no step

    def features(self, fractional: Tensor) -> dict[str, Tensor]:
        """What each discriminator sees of structures (models, structures, atoms, 3)."""
        seen = super().features(fractional.flatten(0, 1))
        return {name: values.unflatten(0, (len(self.models), -1)) for name, values in seen.items()}

    def optimizers(self) -> list[StackedAdam]:
        """One for each network."""
        return self.adams

    def release(self) -> None:
        """Give each model its own tensors again."""
        for model in self.models:
            for tensor in (*model.parameters(), *model.buffers(), model.watch.flag):
                tensor.data = tensor.data.clone()
        for adam in self.adams:
            adam.release()

    def descend(self, values: list[Tensor], loss: Tensor, trained: dict) -> Tensor:
        """As `CryinGAN.descend`, for values of shape (models,)."""
        for optimizer in trained.values():
            optimizer.zero_grad()
        loss.sum().backward()
        norms = []
        for name in trained:
            gradients = [p.grad.flatten(1) for p in self.networks[name].parameters() if p.grad is not None]
            each = torch.stack([torch.linalg.vector_norm(gradient, dim=1) for gradient in gradients])
            norms.append(torch.linalg.vector_norm(each, dim=0))
        seen = torch.stack([*values, *norms]).detach()
        self.watch.see(seen)
        for optimizer in trained.values():
            optimizer.step()
        return seen

    @property
    def current_epoch(self) -> int:
        """The epoch that all models are in."""
        return self.models[0].current_epoch

    def draw_normal(self, size: int, purpose: str, batch_idx: int, epoch: int | None = None) -> Tensor:
        """Noise (models, size, latent_dim), each model's from its own seed."""
        return torch.stack([model.draw_normal(size, purpose, batch_idx, epoch) for model in self.models])

    def draw_uniform(self, size: int, purpose: str, batch_idx: int, epoch: int | None = None) -> Tensor:
        """Numbers between 0 and 1, shape (models, size), each model's from its own seed."""
        return torch.stack([model.draw_uniform(size, purpose, batch_idx, epoch) for model in self.models])


class StackedAdam(torch.optim.Adam):
    """Adam for stacked parameters, whose state the models' own optimisers share.

    It looks at no model's `watch`: values that are not finite stay within their model, which is neither trained further
    nor saved.

    Args:
        network: the stacked network.
        each: the optimisers of the same network of every model.

    Raises:
        CryinGANError: they have not taken equally many steps; with a single counter their moments would be wrong.
    """

    def __init__(self, network: nn.Module, each: Sequence[Optimizer]) -> None:
        self.each = list(each)
        super().__init__(network.parameters(), **{**each[0].defaults, "capturable": False})
        own = [[p for group in one.param_groups for p in group["params"]] for one in each]
        self.own = dict(zip(network.parameters(), zip(*own, strict=True), strict=True))
        for stack, parameters in self.own.items():
            states = [one.state.get(p, {}) for one, p in zip(each, parameters, strict=True)]
            if len({float(state.get("step", 0)) for state in states}) > 1:
                raise CryinGANError("these runs have taken different numbers of steps so far; train them apart")
            if states[0]:
                moments = {name: torch.stack([s[name] for s in states]) for name in states[0] if name != "step"}
                self.state[stack] = {"step": states[0]["step"].clone(), **moments}
            for parameter in parameters:
                parameter.grad = None
        self.shared = False
        self.follow_schedules()

    def follow_schedules(self) -> None:
        """Take the learning rate of the models' optimisers."""
        rate = float(self.each[0].param_groups[0]["lr"])
        for group in self.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def share_state(self) -> None:
        """Share the state, which exists from the first step on, with the models' optimisers."""
        if self.shared:
            return
        self.shared = True
        for stack, parameters in self.own.items():
            for number, (one, parameter) in enumerate(zip(self.each, parameters, strict=True)):
                state = self.state[stack].items()
                one.state[parameter] = {name: value if name == "step" else value[number] for name, value in state}

    def release(self) -> None:
        """Give each optimiser its own state again."""
        for one in self.each:
            for state in one.state.values():
                state.update({name: value.clone() for name, value in state.items()})


class _EachMeans:
    """The epoch means of every model, which share updates of shape (names, models)."""

    def __init__(self, each: Sequence[Any]) -> None:
        self.each, self.names = each, each[0].names

    def update(self, values: Tensor, weight: int) -> None:
        for means, own in zip(self.each, values.unbind(-1), strict=True):
            means.update(own, weight)


class _EachWatch:
    """The watch of every model over values of shape (names, models); each training asks its own model's alone."""

    def __init__(self, each: Sequence[Any]) -> None:
        self.each = each
        self.flag = torch.stack([watch.flag for watch in each])
        for watch, view in zip(each, self.flag.unbind(), strict=True):
            watch.flag.data = view
            watch.saved = "nothing of it is saved"  # Adam of the stack steps all models, whatever their flags

    def see(self, values: Tensor) -> None:
        torch.maximum(self.flag, values.isfinite().all(dim=0).logical_not().to(self.flag), out=self.flag)

    def note(self, names: list[str], values: Tensor, epoch: int, batch: int) -> None:
        for watch, own in zip(self.each, values.unbind(-1), strict=True):
            watch.note(names, own, epoch, batch)


def stacked(networks: Sequence[nn.Module]) -> nn.Module:
    """A network with one more axis in front of every parameter and buffer; those of `networks` become views of it."""
    whole = copy.deepcopy(networks[0])
    for name, module in whole.named_modules():
        parts = [network.get_submodule(name) for network in networks]
        for place in ("_parameters", "_buffers"):
            for key in getattr(module, place):
                own = [getattr(part, key) for part in parts]
                together = torch.stack([tensor.detach() for tensor in own])
                getattr(module, place)[key] = nn.Parameter(together) if place == "_parameters" else together
                for tensor, view in zip(own, together.unbind(), strict=True):
                    tensor.data = view
    return whole
