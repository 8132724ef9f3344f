"""What a benchmark is: descriptors of one structure, and scores of many against a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from cryingan.evaluation.settings import BenchmarkSettings
from cryingan.metrics.bootstrap import Interval

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure

Table = Mapping[str, Sequence[Any] | np.ndarray]


@dataclass(frozen=True, eq=False)
class Sample:
    """Structures by their descriptors.

    Attributes:
        arrays: by name, each with the structures along its first axis.
        numbers: places of the structures in their file, from 1, shape (structures,).
    """

    arrays: Mapping[str, np.ndarray]
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]


@dataclass(frozen=True, eq=False)
class Scores:
    """What a benchmark says of generated structures.

    Attributes:
        values: metrics by the paper's names.
        columns: one value per structure, for structures.csv.
        tables: distributions by file name, as columns.
        figures: functions that draw them, by file name without ending.
    """

    values: Mapping[str, Interval]
    columns: Table = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Mapping[str, Callable[[], Figure]] = field(default_factory=dict)


class Benchmark(BenchmarkSettings):
    """Base of the benchmarks. Its fields are the settings, plain values that travel to other processes."""

    composition_matters: ClassVar[bool] = True
    """Whether a structure of another composition than the reference's has failed."""

    def require_species(self, composition: Mapping[str, int], name: str) -> None:
        """Refuse structures that are none for this benchmark.

        Raises:
            CryinGANError: names the file, its species and those that are needed.
        """
        raise NotImplementedError

    def nothing(self, composition: Mapping[str, int]) -> dict[str, np.ndarray]:
        """The stacked descriptors of no structures: arrays as `describe` gives them with a first axis of length 0."""
        raise NotImplementedError

    def for_reference(self, atoms: Atoms) -> Self:
        """This benchmark, with what it takes from the first structure of the reference."""
        return self

    def settings(self) -> dict[str, Any]:
        """All settings as JSON values; descriptors and scores with other settings cannot be compared."""
        values = asdict(self)
        return {"benchmark": values.pop("kind"), **values}

    def describe(self, atoms: Atoms) -> dict[str, np.ndarray]:
        """Descriptors of one structure, float64 or whole numbers, of the same shapes for all of one composition.

        Raises:
            CryinGANError: there are none, with the reason; the structure has failed.
        """
        raise NotImplementedError

    def published(self, folder: Path) -> tuple[Sample, dict[str, int]]:
        """Reference descriptors from the CSV files that Dismai-Bench publishes, and the atoms of known species.

        Raises:
            CryinGANError: a file is missing or has other columns.
        """
        raise NotImplementedError

    def score(self, generated: Sample, reference: Sample) -> Scores:
        """Scores of the accepted structures, of which there may be none, against those of a reference."""
        raise NotImplementedError


def percentage(interval: Interval) -> Interval:
    """A percentage of structures with the ends of its interval kept between 0 and 100."""
    low, high = (float(np.clip(end, 0, 100)) for end in (interval.low, interval.high))
    return replace(interval, low=low, high=high)
