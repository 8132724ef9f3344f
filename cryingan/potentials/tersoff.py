"""Tersoff's potential of one element, silicon by default: the strength of a bond follows from its surroundings."""

from __future__ import annotations

from dataclasses import asdict
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from cryingan.errors import CryinGANError
from cryingan.geometry.neighbors import SAME_POINT, neighbors, other_neighbors
from cryingan.potentials.analytic import AnalyticPotential
from cryingan.potentials.card import PotentialCard, parse_references
from cryingan.potentials.settings import TersoffSettings
from cryingan.storage.hashes import settings_hash

NOT_PARAMETERS = ("kind", "name", "atoms_per_batch", "references")


class Values(NamedTuple):
    """A function and its derivative, at many points."""

    value: np.ndarray
    slope: np.ndarray


class TersoffPotential(AnalyticPotential):
    """Tersoff's potential of one element, exact forces in float64, with no package to install.

    E = 1/2 sum over i, j of fc(r_ij) (A exp(-lambda1 r_ij) - b_ij B exp(-lambda2 r_ij)), where the bond order
    b_ij = (1 + (beta zeta_ij)^n)^(-1/(2n)) falls with the neighbours k of atom i,
    zeta_ij = sum over k of fc(r_ik) g(theta_ijk) exp(lambda3^3 (r_ij - r_ik)^3), and
    g = 1 + c^2/d^2 - c^2/(d^2 + (h - cos theta)^2). The cut-off fc falls as half a wave from 1 at R - D to 0 at R + D.

    Source: J. Tersoff, Phys. Rev. B 37, 6991 (1988), whose parameters of silicon, often called T2 or Si(B), are the
    defaults, and Phys. Rev. B 38, 9902 (1988), equations (1) to (3).

    Args:
        settings: element and parameters.

    Raises:
        CryinGANError: there is no such element.
    """

    def __init__(self, settings: TersoffSettings) -> None:
        if settings.element not in chemical_symbols[1:]:
            raise CryinGANError(f"potential tersoff: element={settings.element!r} is no chemical symbol, such as Si")
        self.settings = settings
        made_of = {name: value for name, value in asdict(settings).items() if name not in NOT_PARAMETERS}
        references = parse_references(settings.references)
        card = PotentialCard(settings.name, settings_hash(made_of), (settings.element,), references)
        super().__init__(card, "cpu", settings.atoms_per_batch)

    def _evaluate_one(self, frame: Atoms) -> tuple[float, np.ndarray]:
        own, positions, cell = self.settings, frame.get_positions(wrap=True), np.asarray(frame.cell)
        source, target, image = neighbors(positions, cell, own.R + own.D)
        vector = positions[target] - positions[source] + image @ cell
        length = np.maximum(np.linalg.norm(vector, axis=1), SAME_POINT)
        cutoff = self._cutoff(length)
        repulsion, attraction = (
            _product(cutoff, _exponential(sign * depth, decay, length))
            for sign, depth, decay in ((1, own.A, own.lambda1), (-1, own.B, own.lambda2))
        )
        pair, other = other_neighbors(source)
        zeta, along_pair, along_other = self._zeta(vector, length, cutoff, pair, other)
        order = self._bond_order(np.bincount(pair, zeta, len(source)))

        energy = 0.5 * float((repulsion.value + order.value * attraction.value).sum())
        weight = 0.5 * (attraction.value * order.slope)[pair, None]
        pull = vector * (0.5 * (repulsion.slope + order.value * attraction.slope) / length)[:, None]
        for pairs, slope in ((pair, along_pair), (other, along_other)):
            pull += _sums(pairs, weight * slope, len(source))
        return energy, _sums(source, pull, len(frame)) - _sums(target, pull, len(frame))

    def _cutoff(self, length: np.ndarray) -> Values:
        """The cut-off function fc."""
        phase = np.clip((length - self.settings.R) / self.settings.D, -1, 1) * np.pi / 2
        slope = -0.25 * np.pi / self.settings.D * np.cos(phase)
        return Values(0.5 - 0.5 * np.sin(phase), np.where(np.abs(phase) < np.pi / 2, slope, 0))

    def _bond_order(self, zeta: np.ndarray) -> Values:
        """The bond order b; a bond without other neighbours has the order 1, whatever they would do."""
        n = self.settings.n
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            power = (self.settings.beta * zeta) ** n
            value = (1 + power) ** (-0.5 / n)
            slope = -0.5 * value / (1 + 1 / power) / zeta
        return Values(value, np.where(zeta > 0, slope, 0))

    def _zeta(
        self, vector: np.ndarray, length: np.ndarray, cutoff: Values, pair: np.ndarray, other: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What every neighbour k adds to zeta_ij, shape (triplets,), and its slope along ij and ik, (triplets, 3)."""
        own = self.settings
        direction = vector / length[:, None]
        first, second = direction[pair], direction[other]
        cosine = (first * second).sum(axis=1)
        longer = length[pair] - length[other]
        lengths = np.exp((own.lambda3 * longer) ** 3)
        lengths = Values(lengths, 3 * own.lambda3**3 * longer**2 * lengths)
        apart = own.h - cosine
        below = own.d**2 + apart**2
        angles = Values(1 + (own.c / own.d) ** 2 - own.c**2 / below, -2 * own.c**2 * apart / below**2)

        near, near_slope = cutoff.value[other], cutoff.slope[other]
        turn = near * angles.slope * lengths.value
        stretch = near * angles.value * lengths.slope
        along_pair = first * stretch[:, None] + (second - cosine[:, None] * first) * (turn / length[pair])[:, None]
        shrink = near_slope * angles.value * lengths.value - stretch
        along_other = second * shrink[:, None] + (first - cosine[:, None] * second) * (turn / length[other])[:, None]
        return near * angles.value * lengths.value, along_pair, along_other


def _exponential(depth: float, decay: float, length: np.ndarray) -> Values:
    value = depth * np.exp(-decay * length)
    return Values(value, -decay * value)


def _product(one: Values, other: Values) -> Values:
    return Values(one.value * other.value, one.slope * other.value + one.value * other.slope)


def _sums(index: np.ndarray, vectors: np.ndarray, count: int) -> np.ndarray:
    """Sums of the vectors (rows, 3) of each index, shape (count, 3)."""
    return np.stack([np.bincount(index, vectors[:, axis], count) for axis in range(3)], axis=1)
