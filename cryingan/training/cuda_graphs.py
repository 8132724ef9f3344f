"""Record a training step and replay it: one launch on a GPU instead of hundreds, which take longer than their work."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from cryingan.errors import CryinGANError
from cryingan.training.run import Run

WARM_UP = 3  # steps before the recording: Adam's state and what libraries set up come with the first ones

Recorder = Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]


def cuda_graph(step: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """Record a step without running it; return what runs it, and the tensor in which its result then is.

    The step reads and writes the same memory whenever it runs, and never makes the host wait.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step()
    return graph.replay, result


class Replay:
    """Run training steps, from the fourth of each shape on from a recording; a ragged last batch has its own.

    A step is called as `step(optimizers, *inputs)` with a dict of optimisers, gives a tensor, and is a function of the
    inputs and of tensors that keep their place: weights, states, learning rates. So random numbers are inputs.

    Args:
        record: makes a recording; `cuda_graph`, or in tests one that needs no GPU.
    """

    def __init__(self, record: Recorder = cuda_graph) -> None:
        self.record = record
        self.runs: Counter[Any] = Counter()
        self.recordings: dict[Any, tuple[list[Tensor], Callable[[], None], Tensor]] = {}

    def __call__(self, step: Callable[..., Tensor], optimizers: dict[str, Any], *inputs: Tensor) -> Tensor:
        """Run a step and return its result."""
        key = (step.__name__, *(tensor.shape for tensor in inputs))
        self.runs[key] += 1
        if self.runs[key] <= WARM_UP:
            for optimizer in optimizers.values():
                _keep_in_tensors(optimizer)
            return _aside(lambda: step(optimizers, *inputs), inputs[0].device)
        if key not in self.recordings:
            kept = [tensor.clone() for tensor in inputs]
            bare = {name: getattr(optimizer, "optimizer", optimizer) for name, optimizer in optimizers.items()}
            self.recordings[key] = (kept, *self.record(lambda: step(bare, *kept)))
        read, replay, result = self.recordings[key]
        for place, tensor in zip(read, inputs, strict=True):
            place.copy_(tensor)
        replay()
        for optimizer in optimizers.values():
            if isinstance(optimizer, LightningOptimizer):  # counts the steps of a run, but was left out above
                optimizer._on_before_step()
                optimizer._on_after_step()
        return result.clone()


def record_steps(run: Run) -> None:
    """Replay the training steps of a run from recordings.

    Raises:
        CryinGANError: the run is not on one GPU, or its model cannot be recorded.
    """
    if not getattr(run.model, "recordable", False):
        raise CryinGANError("trainer.capture=true records the steps of CryinGAN only")
    if run.trainer.strategy.root_device.type != "cuda" or run.trainer.world_size > 1:
        raise CryinGANError("trainer.capture=true needs one GPU: trainer.accelerator=gpu trainer.devices=1")
    warnings.filterwarnings("ignore", ".*came with capturable=True")  # the first steps run before there is a recording
    run.model.run_step = Replay()


def _keep_in_tensors(optimizer: Optimizer) -> None:
    """Keep learning rates in tensors, which a recording reads and schedules write to."""
    for group in optimizer.param_groups:
        if not isinstance(group["lr"], Tensor):
            device = group["params"][0].device
            group.update(lr=torch.tensor(group["lr"], dtype=torch.float32, device=device), capturable=True)


def _aside(run: Callable[[], Tensor], device: torch.device) -> Tensor:
    """Run on a side stream, as a recording does."""
    if device.type != "cuda":
        return run()
    stream, current = _side_stream(device), torch.cuda.current_stream()
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        result = run()
    current.wait_stream(stream)
    return result


_side_stream = cache(torch.cuda.Stream)  # one for all steps: memory freed on one stream is not used on another
