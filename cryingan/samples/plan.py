"""How a set of samples is relaxed and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """How samples are relaxed and judged, in plain values that travel to other processes.

    Attributes:
        potential: arguments of `cryingan.potentials.potential.load_potential`.
        relax: fields of `cryingan.relaxation.settings.RelaxSettings`.
        training: the data set, as `TrainingScale` takes it; None where it is unknown: energies are then eV/atom as the
            potential gives them, and there are no thresholds.
        thresholds: in J/m^2 for an interface, eV/atom for bulk.
        repair_distance: atoms closer than this are moved apart first, Angstrom.
        cache: folder for training energies; None for `.energies` beside the training structures.
        pictures: how many samples are drawn before and after.
        molecules: how many are also written as PDB.
        earlier: the scales of energies that these ones will stand beside, as `TrainingScale.record` gives them, with
            `where` they were found; another scale is refused.
    """

    potential: Mapping[str, Any]
    relax: Mapping[str, Any]
    training: Mapping[str, Any] | None = None
    thresholds: Sequence[float] = (0.0, -0.2)
    repair_distance: float = 1.5
    cache: str | None = None
    pictures: int = 3
    molecules: int = 3
    earlier: Sequence[Mapping[str, Any]] = ()
