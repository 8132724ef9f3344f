"""The benchmarks of Dismai-Bench: interface, amorphous silicon and alloy."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Benchmark, Sample, Scores

__all__ = ["Benchmark", "Sample", "Scores", "load_benchmark"]


KINDS = ("interface", "silicon", "alloy")


def load_benchmark(kind: str, **settings: Any) -> Benchmark:
    """A benchmark by its name.

    Args:
        kind: `interface`, `silicon` or `alloy`.
        settings: fields of its class; missing ones have the paper's values.

    Raises:
        CryinGANError: there is no such benchmark or setting.
    """
    if kind not in KINDS:
        raise CryinGANError(f"benchmark={kind} must be one of {', '.join(KINDS)}")
    benchmark = getattr(import_module(f"cryingan.evaluation.benchmarks.{kind}"), kind.capitalize())
    try:
        return benchmark(**settings)
    except TypeError as error:
        raise CryinGANError(f"benchmark={kind}: {str(error).partition('__init__() ')[2]}") from error
