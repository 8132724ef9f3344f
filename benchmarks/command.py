"""The command lines of the benchmarks: values that are checked before anything is measured."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from configs.entry import one_line
from cryingan.errors import CryinGANError

OVERRIDE = re.compile(r"[~+]{0,2}\w[\w.@/]*=|~\w")


def new_parser(description: str | None) -> ArgumentParser:
    """A parser whose help is a module's docstring."""
    return ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)


def parse_with_overrides(parser: ArgumentParser) -> Namespace:
    """The command line, with all KEY=VALUE, wherever they stand, in `overrides`."""
    overrides = [argument for argument in sys.argv[1:] if OVERRIDE.match(argument) and not Path(argument).exists()]
    arguments = parser.parse_args([argument for argument in sys.argv[1:] if argument not in overrides])
    arguments.overrides = overrides
    return arguments


def at_least(least: int) -> Callable[[str], int]:
    """A type of argparse: an integer of at least so much."""

    def checked(text: str) -> int:
        if int(text) < least:
            raise ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    checked.__name__ = "int"  # what argparse calls a value that is none
    return checked


positive = at_least(1)


def weight(text: str) -> float:
    """A value of lambda."""
    value = float(text)
    if not value >= 0:
        raise ArgumentTypeError(f"{text} is less than 0")
    return value


def device(text: str) -> str:
    """A device of torch that is there."""
    try:
        kind = torch.device(text).type
    except RuntimeError as error:
        raise ArgumentTypeError(f"{text} is no device of torch, such as cpu or cuda") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ArgumentTypeError("there is no CUDA GPU, or this PyTorch is built without CUDA")
    return text


def output(text: str) -> Path:
    """A file in a folder that is there."""
    path = Path(text)
    if not path.parent.is_dir():
        raise ArgumentTypeError(f"{path.parent} is not there")
    return path


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Errors in KEY=VALUE end in one line, as those of train.py do."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (CryinGANError, HydraException, OmegaConfBaseException) as error:
        sys.exit(one_line(error))
