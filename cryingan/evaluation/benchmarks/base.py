"""Base of the benchmarks: describe one structure, and score many against a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from ase import Atoms

from cryingan.energies.data_card import DataCard
from cryingan.energies.fractions import wilson
from cryingan.evaluation.settings import BenchmarkSettings
from cryingan.metrics.bootstrap import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = Mapping[str, Sequence[Any] | np.ndarray]


@dataclass(frozen=True, eq=False)
class Sample:
    """Descriptors of a set of structures.

    Attributes:
        arrays: descriptors by name, with the structures along the first axis, which is empty for those that published
            statistics lack.
        numbers: places of the structures in their file, from 1, shape (structures,).
    """

    arrays: Mapping[str, np.ndarray]
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def nothing(self) -> Sample:
        """Return the descriptors of no structures, with the shapes of these."""
        return Sample({name: array[:0] for name, array in self.arrays.items()}, self.numbers[:0])


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of generated structures; `|` joins those of two parts.

    Attributes:
        values: metrics by the paper's names.
        columns: values of each structure, for structures.csv.
        tables: distributions as columns, by file name.
        figures: functions that draw figures, by file name without suffix.
    """

    values: Mapping[str, Interval] = field(default_factory=dict)
    columns: Table = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Mapping[str, Callable[[], Figure]] = field(default_factory=dict)

    def __or__(self, other: Scores) -> Scores:
        return Scores(*({**getattr(self, part.name), **getattr(other, part.name)} for part in fields(self)))


class Benchmark(BenchmarkSettings):
    """Base of the benchmarks. Its fields are its settings: plain values that can be sent to other processes."""

    composition_matters: ClassVar[bool] = True
    """Whether structures of another composition than the reference's fail."""

    def require_species(self, composition: Mapping[str, int], name: str) -> None:
        """Raise a CryinGANError if the species of the file `name` do not fit; it names them and those needed."""
        raise NotImplementedError

    def for_species(self, composition: Mapping[str, int], name: str) -> Self:
        """Return this benchmark with what it takes from the species of the reference.

        Raises:
            CryinGANError: as `require_species`.
        """
        self.require_species(composition, name)
        return self

    def for_card(self, card: DataCard, name: str) -> Self:
        """Return this benchmark with what it takes from the card of the reference, the file `name`."""
        return self

    def for_reference(self, atoms: Atoms) -> Self:
        """Return this benchmark with what it takes from the first structure of the reference."""
        return self

    def settings(self) -> dict[str, Any]:
        """Return all settings as JSON values; scores with different settings cannot be compared."""
        values = asdict(self)
        return {"benchmark": values.pop("kind"), **values}

    def describe(self, atoms: Atoms) -> dict[str, np.ndarray]:
        """Return descriptors, arrays of shapes that depend on the composition alone.

        Raises:
            CryinGANError: why the structure cannot be described and has failed.
        """
        raise NotImplementedError

    def published(self, folder: Path) -> tuple[Sample, dict[str, int]]:
        """Read reference descriptors from the CSV files of Dismai-Bench, and the atoms per species found in them.

        Raises:
            CryinGANError: a file is missing or has other columns.
        """
        raise NotImplementedError

    def score(self, generated: Sample, reference: Sample) -> Scores:
        """Score the accepted structures, of which there may be none, against a reference."""
        raise NotImplementedError


def percentage(holds: np.ndarray) -> Interval:
    """Percent of structures of which something holds, bool (structures,), with its Wilson interval.

    A bootstrap interval of 0 of n would have no width.

    Example:
        >>> percentage(np.array([False, False])).high
        65.76...
    """
    if not len(holds):
        return Interval(np.nan, np.nan, np.nan, 0, "no structure to take a mean of")
    share = wilson(int(holds.sum()), len(holds))
    return Interval(100 * share.value, 100 * share.low, 100 * share.high, len(holds))
