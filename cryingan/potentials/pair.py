"""A Morse pair potential for trials and tests: analytic and instant, fitted to no material."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from cryingan.geometry.neighbors import SAME_POINT, neighbors
from cryingan.potentials.analytic import AnalyticPotential
from cryingan.potentials.card import PotentialCard, parse_references
from cryingan.potentials.settings import PairSettings
from cryingan.storage.hashes import settings_hash

RADIUS = 1.25  # Angstrom, of every element unless radii are given


class PairPotential(AnalyticPotential):
    """Morse bonds of all periodic pairs within a cut-off, damped so that energy and forces vanish smoothly there.

    E = sum over pairs of depth * (x^2 - 2 x) * (1 - (r / cutoff)^2)^3 with x = exp(-stiffness * (r - r0)) and
    r0 = radius_i + radius_j. An aid for tests and for trying things out: exact forces in float64, no weights to load,
    no prediction for any material.

    Args:
        settings: depth, stiffness, cut-off and radii.
    """

    def __init__(self, settings: PairSettings) -> None:
        radii = settings.radii
        if radii is None:
            from ase.data import chemical_symbols

            radii = dict.fromkeys(chemical_symbols[1:], RADIUS)
        self.depth, self.stiffness, self.cutoff = settings.depth, settings.stiffness, settings.cutoff
        self.radii = dict(radii)
        made_of = {name: getattr(self, name) for name in ("depth", "stiffness", "cutoff", "radii")}
        references = parse_references(settings.references)
        card = PotentialCard("pair", settings_hash(made_of), tuple(self.radii), references)
        super().__init__(card, "cpu", settings.atoms_per_batch)

    def _evaluate_one(self, frame: Atoms) -> tuple[float, np.ndarray]:
        positions, cell = frame.get_positions(wrap=True), np.asarray(frame.cell)
        source, target, image = neighbors(positions, cell, self.cutoff)
        vector = positions[target] - positions[source] + image @ cell
        distance = np.linalg.norm(vector, axis=1)
        radius = np.array([self.radii[symbol] for symbol in frame.get_chemical_symbols()])

        x = np.exp(-self.stiffness * (distance - radius[source] - radius[target]))
        inside = np.maximum(1 - (distance / self.cutoff) ** 2, 0)
        morse, damping = self.depth * (x**2 - 2 * x), inside**3
        slope = -2 * self.stiffness * self.depth * (x**2 - x) * damping
        slope -= morse * 6 * inside**2 * distance / self.cutoff**2
        pull = vector * (slope / np.maximum(distance, SAME_POINT))[:, None]
        forces = np.stack([np.bincount(source, pull[:, axis], len(frame)) for axis in range(3)], axis=1)
        return 0.5 * float(morse @ damping), forces
