"""Relaxed samples compared with the structures of the set: in energy, by place, and how many minima they reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryingan.energies.fractions import QUANTILES, fractions_below, quantile_thresholds
from cryingan.energies.scale import ENERGY_UNITS
from cryingan.metrics.energy_statistics import kolmogorov_smirnov
from cryingan.metrics.minima import SAME_ENERGY, SAME_ENERGY_PER_ATOM, minima_of
from cryingan.metrics.region_reference import KEYS, RegionReference
from cryingan.samples.report import Outcome
from cryingan.storage.fraction_keys import distinct_key, fraction_key, random_key

MOST = 1000  # samples, the first ones, whose places are compared: all pairs of 10,000 take an hour
ENDS = ("", "_low", "_high")


@dataclass(frozen=True, eq=False)
class SetComparison:
    """What relaxed samples are compared with.

    Attributes:
        unit: of all energies.
        training: energies of training structures, shape (structures,); None where they are unknown, or not comparable
            with those of relaxed samples.
        random: of random structures, NaN for none, likewise.
        region: the disordered region; None where the training structures share no sites, or are unknown.
        placed: whether equal samples are at the same place; where the model translates them, they cannot be compared.
    """

    unit: str
    training: np.ndarray | None = None
    random: np.ndarray | None = None
    region: RegionReference | None = None
    placed: bool = True

    @property
    def quantiles(self) -> dict[str, float]:
        """Thresholds by the names of their fractions, such as `relax/fraction_below_random_10`."""
        if self.random is None or self.training is None:
            return {}
        return {random_key(percent): energy for percent, energy in quantile_thresholds(self.random).items()}

    def values(self, outcome: Outcome) -> dict[str, float]:
        """The numbers that are logged of one set of samples, by name; all shares are of all samples.

        - `relax/fraction_below_random_50`, `_10`, `_1`, with `_low`, `_high`: at or below the energy under which so
          many percent of the random structures lie
        - `relax/precision`, `recall`, `f1`, `density`, `coverage`, `distance`, `nearest_training`, `dimension`: as
          `cryingan.metrics.region_reference.RegionReference.compare` gives them; samples that did not converge are lost
        - `relax/distinct_minima`: minima that the converged samples reached
        - `relax/unseen_minima`: chance that one more converged sample is in a minimum of its own
        - `relax/distinct_below_<threshold>`: those at or below a threshold
        - `relax/kolmogorov_smirnov`: distance of the energies from those of training structures; samples that did not
          converge count as above all

        None of those that are not defined, such as distances where nothing converged; of places only where `placed`.
        """
        n, energies = len(outcome.samples), outcome.energies.values
        values = {}
        for key, fraction in _fractions(energies, n, self.quantiles).items():
            values |= dict(zip([f"{key}{end}" for end in ENDS], vars(fraction).values(), strict=True))
        if self.training is not None:
            lost = np.full(n - len(energies), np.nan)
            values["relax/kolmogorov_smirnov"] = kolmogorov_smirnov(np.append(energies, lost), self.training)
        return values | (self._by_place(outcome) if self.placed else {})

    def of_training(self, samples: int, thresholds: tuple[float, ...]) -> dict[str, float]:
        """The same of training structures, those that are defined for them: the values of a perfect generator.

        Args:
            samples: how many are compared.
            thresholds: in the unit of the energies.
        """
        values = {}
        if self.training is not None:
            limits = {fraction_key(threshold): threshold for threshold in thresholds} | self.quantiles
            values = {key: float((self.training <= limit).mean()) for key, limit in limits.items()}
        if self.region is not None:
            values |= _logged(self.region.of_training(min(samples, MOST)))
        return values

    def _by_place(self, outcome: Outcome) -> dict[str, float]:
        n = min(len(outcome.samples), MOST)
        ended = outcome.results.converged & (outcome.results.samples < n)
        relaxed, energies = outcome.results.crystals[ended], outcome.energies.values[ended]
        values = {} if self.region is None else _logged(self.region.compare(relaxed, n - len(relaxed)))
        if self.region is not None:
            relaxed = self.region.mean.region(relaxed)
        near = SAME_ENERGY_PER_ATOM if self.unit == ENERGY_UNITS["bulk"] else SAME_ENERGY
        found = minima_of(relaxed, energies, energy_within=near)
        labels = found.labels
        values["relax/distinct_minima"] = found.distinct / n
        values |= _logged({"unseen_minima": found.unseen})
        for threshold in outcome.thresholds:
            values[distinct_key(threshold)] = len(np.unique(labels[energies <= threshold])) / n
        return values


def comparison_keys(thresholds: tuple[float, ...]) -> set[str]:
    """All keys that `SetComparison.values` may have."""
    quantiles = {f"{random_key(percent)}{end}" for percent in QUANTILES for end in ENDS}
    places = {f"relax/{name}" for name in (*KEYS, "distinct_minima", "unseen_minima", "kolmogorov_smirnov")}
    return quantiles | places | set(map(distinct_key, thresholds))


def _fractions(energies: np.ndarray, n: int, limits: dict[str, float]) -> dict:
    found = fractions_below(energies, n, tuple(limits.values()))
    return {key: found[limit] for key, limit in limits.items()}


def _logged(found: dict[str, float]) -> dict[str, float]:
    return {f"relax/{name}": value for name, value in found.items() if np.isfinite(value)}
