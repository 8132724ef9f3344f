"""A recorder of training steps that needs no GPU."""

import torch


def on_the_spot(step):
    """Like a CUDA graph: recording runs nothing; replaying reads and writes what the step was recorded with."""
    result = torch.empty(0)

    def replay() -> None:
        values = step()
        result.resize_(values.shape).copy_(values)

    return replay, result
