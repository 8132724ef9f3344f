"""What every torchmetrics class has to keep, after the idea of torchmetrics' own MetricTester.

All at once, in parts and in two processes are one; states are on the device of their metric.
"""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torchmetrics import Metric

EXACT = {"rtol": 0, "atol": 1e-13}


class OneDevice(TorchDispatchMode):
    """Refuses operations between devices, as a GPU does; the meta device alone lets them pass."""

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        tensors = [leaf for leaf in tree_leaves((arguments, keywords)) if isinstance(leaf, torch.Tensor) and leaf.ndim]
        copies = (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)
        assert operation in copies or len({tensor.device for tensor in tensors}) <= 1, operation
        return operation(*arguments, **(keywords or {}))


def check_metric(build: Callable[[], Metric], batches: Sequence[Tensor], expected: Tensor) -> None:
    """Check one class of metrics.

    Args:
        build: gives a new metric.
        batches: what `update` takes, along the first axis; at least two, none of them empty.
        expected: the result for all of them.
    """
    whole = torch.cat(list(batches))
    torch.testing.assert_close(_result(build(), [whole]), expected, **EXACT)
    torch.testing.assert_close(_result(build(), [batches[0][:0], *batches]), expected, **EXACT)
    for first in (1, len(batches)):  # the second process has the rest, or nothing
        ranks = [build(), build()]
        _fill(ranks[0], batches[:first])
        _fill(ranks[1], batches[first:] or [batches[0][:0]])
        for metric in ranks:
            torch.testing.assert_close(_synced(metric, ranks), expected, **EXACT)
    metric = build()
    _fill(metric, [whole])
    metric.reset()
    torch.testing.assert_close(_result(metric, batches), expected, **EXACT)
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert build().compute().isnan().all()
    assert expected.dtype == torch.float64
    _check_device(build().to("meta"), whole)


def _result(metric: Metric, batches: Sequence[Tensor]) -> Tensor:
    _fill(metric, batches)
    return metric.compute()


def _fill(metric: Metric, batches: Sequence[Tensor]) -> None:
    for batch in batches:
        metric.update(batch)


def _synced(metric: Metric, ranks: Sequence[Metric]) -> Tensor:
    """The result of one metric, torchmetrics gathering what processes with these metrics would send."""
    turns = zip(*map(_sent, ranks), strict=True)
    metric.dist_sync_fn = lambda state, group=None: list(next(turns))
    metric.distributed_available_fn = lambda: True
    return metric.compute()


def _sent(metric: Metric) -> list[Tensor]:
    """What a metric sends to the other processes, state by state."""
    sent = []

    def gather(state: Tensor, group: object = None) -> list[Tensor]:
        sent.append(state.clone())
        return [state]

    metric.sync(dist_sync_fn=gather, distributed_available=lambda: True)
    metric.unsync()
    return sent


def _check_device(metric: Metric, batch: Tensor) -> None:
    with OneDevice():
        metric.update(batch)
    states = [getattr(metric, name) for name in metric._defaults]
    assert {tensor.device.type for tensor in tree_leaves(states)} == {"meta"}
