"""Checkpoints leaf by leaf."""

from pathlib import Path

import torch

from cryingan.storage.checkpoint import read_checkpoint


def flat(value, path=""):
    """Leaves of a nested checkpoint by path."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if items is None:
        return {path: value}
    return {key: leaf for name, item in items for key, leaf in flat(item, f"{path}/{name}").items()}


def assert_same(first: Path, second: Path) -> None:
    """Bitwise equality of everything that training changes."""
    for section in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
        one, two = flat(read_checkpoint(first)[section]), flat(read_checkpoint(second)[section])
        assert one.keys() == two.keys()
        for name, value in one.items():
            same = torch.equal(value, two[name]) if isinstance(value, torch.Tensor) else value == two[name]
            assert same, f"{section}{name}"
