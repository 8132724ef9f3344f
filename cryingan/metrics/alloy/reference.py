"""Order and energy of alloy samples compared with those of their training structures."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from cryingan.metrics.alloy import fcc
from cryingan.structures.checks import COMPARABLE_CELL
from cryingan.structures.crystals import Crystals

KEYS = ("vacancies", "formation_energy", "formation_energy_error", "sro_error")
KEYS += tuple(f"sro_1_{pair}" for pair in fcc.PAIR_NAMES)


@dataclass(frozen=True)
class AlloyReference:
    """Means of a set of alloy structures on the sites of its lattice, fractional, shape (sites, 3).

    `energy` is the formation energy, eV/atom, `order` the first-shell Warren-Cowley parameters, (6,), as `PAIR_NAMES`.
    """

    sites: np.ndarray
    energy: float
    order: np.ndarray

    @classmethod
    def of(cls, crystals: Crystals) -> AlloyReference | None:
        """The reference that a training set gives; None where it is not Cr-Fe-Ni filling the benchmark's lattice."""
        repeats = round(crystals.cell[0, 0] / fcc.LATTICE_CONSTANT)
        cubic = np.allclose(crystals.cell, np.eye(3) * repeats * fcc.LATTICE_CONSTANT, atol=COMPARABLE_CELL)
        if set(crystals.species) != set(fcc.SPECIES) or repeats < 1 or not cubic or len(crystals) == 0:
            return None
        # Any atom is an origin of the fcc lattice.
        ideal = fcc.fcc_sites(repeats)
        sites = (ideal - ideal[0] + crystals.fractional[0, 0]) % 1.0
        energy, order, vacancies = _describe(crystals, sites)
        return None if vacancies else cls(sites, energy, order)

    def compare(self, samples: Crystals) -> dict[str, float]:
        """Means over samples, NaN where no structure defines a value, and their errors against this set.

        They are `vacancies` (share of the sites), `formation_energy` and its `_error` (eV/atom), `sro_error` (mean over
        the six pairs) and `sro_1_<pair>`.
        """
        energy, order, vacancies = _describe(samples, self.sites)
        errors = abs(energy - self.energy), float(np.abs(order - self.order).mean())
        return dict(zip(KEYS, (vacancies, energy, *errors, *map(float, order)), strict=True))


def _describe(crystals: Crystals, sites: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Mean formation energy, mean first-shell order and share of vacancies."""
    mapped = fcc.occupation(crystals.fractional, crystals.species, crystals.cell, sites)
    counts = fcc.cluster_counts(mapped)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean over no defined value is NaN
        order = np.nanmean(fcc.short_range_order(counts)[:, : len(fcc.PAIR_NAMES)], axis=0)
        energy = float(np.nanmean(fcc.formation_energy(counts)))
    return energy, order, float((mapped < 0).mean())
