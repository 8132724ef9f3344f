"""Benchmarks by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Benchmark
from cryingan.evaluation.settings import BENCHMARKS


def load_benchmark(kind: str, **settings: Any) -> Benchmark:
    """Return the benchmark `interface`, `silicon` or `alloy` with settings of `cryingan.evaluation.settings`.

    Raises:
        CryinGANError: there is no such benchmark or setting.
    """
    if kind not in BENCHMARKS:
        raise CryinGANError(f"benchmark={kind} must be one of {', '.join(BENCHMARKS)}")
    benchmark = getattr(import_module(f"cryingan.evaluation.benchmarks.{kind}"), f"{kind.capitalize()}Benchmark")
    try:
        return benchmark(**settings)
    except TypeError as error:
        raise CryinGANError(f"benchmark={kind}: {str(error).partition('__init__() ')[2]}") from error
