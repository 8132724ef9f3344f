"""Errors of a potential on labelled structures that it was not trained on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryingan.plots.parity import Parity
from cryingan.potentials.potential import Potential
from data.interface.potential_training.frames import LabelledFrames

RESAMPLES = 2000
LEAST = 3  # values; a rank correlation of fewer is meaningless


@dataclass(frozen=True, eq=False)
class Errors:
    """Labels and predictions for the same frames.

    Attributes:
        energies: labels and predictions, eV/atom, shape (2, frames).
        forces: components of labels and predictions, eV/Angstrom, shape (2, components).
        lowest: indices of the frames with the lowest energy of their structure.
    """

    energies: np.ndarray
    forces: np.ndarray
    lowest: np.ndarray

    def summary(self) -> dict[str, Any]:
        """Errors in plain values: eV/atom and eV/Angstrom."""
        lowest = self.energies[:, self.lowest]
        return {
            "frames": self.energies.shape[1],
            "structures": lowest.shape[1],
            "energy_mae": _mae(self.energies),
            "energy_rmse": _rmse(self.energies),
            "energy_spearman": spearman(*self.energies),
            "force_mae": _mae(self.forces),
            "force_rmse": _rmse(self.forces),
            "force_size": float(np.abs(self.forces[0]).mean()),
            "lowest_energy_mae": _mae(lowest),
            "lowest_energy_spearman": spearman(*lowest),
        }

    def panels(self) -> Mapping[str, Parity]:
        """Panels of a parity figure."""
        found = self.summary()
        return {
            "energy": Parity(
                *self.energies, "eV/atom", found["energy_mae"] * 1000, "meV/atom", _number(found["energy_spearman"])
            ),
            "force component": Parity(
                *self.forces, "eV/Angstrom", found["force_mae"] * 1000, "meV/Angstrom", _number(spearman(*self.forces))
            ),
        }


def errors_of(potential: Potential, frames: LabelledFrames) -> Errors:
    """Evaluate a potential on labelled frames."""
    energies, forces = potential.evaluate(frames.atoms)
    sizes = np.array([len(atoms) for atoms in frames.atoms])
    both = np.array([frames.energies, energies]) / sizes
    lowest = []
    for name in np.unique(frames.structures):
        own = np.flatnonzero(frames.structures == name)
        lowest.append(own[both[0, own].argmin()])
    components = np.array([np.concatenate(one).ravel() for one in (frames.forces, forces)])
    return Errors(both, components, np.array(lowest))


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Rank correlation of two sets of values; None where it is undefined or has fewer than `LEAST` values."""
    from scipy.stats import spearmanr

    if len(first) < LEAST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def spearman_interval(first: np.ndarray, second: np.ndarray) -> tuple[float, float] | None:
    """95 % percentile bootstrap interval of the rank correlation, over pairs of values; None where it is undefined."""
    from scipy.stats import bootstrap, spearmanr

    if spearman(first, second) is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is undefined for a draw of equal values
        draws = bootstrap(
            (first, second),
            lambda x, y: spearmanr(x, y).statistic,
            paired=True,
            vectorized=False,
            n_resamples=RESAMPLES,
            method="percentile",
            rng=np.random.default_rng(0),
        ).bootstrap_distribution
    low, high = np.nanquantile(draws, (0.025, 0.975))
    return float(low), float(high)


def _mae(both: np.ndarray) -> float:
    return float(np.abs(both[1] - both[0]).mean())


def _rmse(both: np.ndarray) -> float:
    return float(np.sqrt(np.mean((both[1] - both[0]) ** 2)))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
