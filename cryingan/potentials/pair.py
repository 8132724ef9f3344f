"""A Morse pair potential: no physics, but instant; for trials and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cryingan.geometry.neighbors import SAME_POINT, neighbors
from cryingan.potentials.card import PotentialCard, parse_references
from cryingan.potentials.potential import Potential
from cryingan.storage.hashes import settings_hash

if TYPE_CHECKING:
    from ase import Atoms


class PairPotential(Potential):
    """Morse bonds of all periodic pairs within a cut-off, damped so that energy and forces vanish smoothly there.

    E = sum over pairs of depth * (x^2 - 2 x) * (1 - (r / cutoff)^2)^3 with x = exp(-stiffness * (r - r0)) and
    r0 = radius_i + radius_j. Made for tests: float64, exact forces, loaded in no time.

    Args:
        path: ignored; it has no weights.
        device: ignored; it computes on the CPU.
        depth: eV.
        stiffness: 1/Angstrom.
        cutoff: Angstrom.
        radii: Angstrom per chemical symbol; without it every element is known and has radius 1.25 Angstrom.
        atoms_per_batch: see `Potential`.
        references: see `load_potential`.
    """

    def __init__(
        self,
        path: str | None = None,
        device: str = "cpu",
        depth: float = 0.5,
        stiffness: float = 1.5,
        cutoff: float = 5.0,
        radii: Mapping[str, float] | None = None,
        atoms_per_batch: int | None = None,
        references: Sequence[Mapping] = (),
    ) -> None:
        from ase.data import chemical_symbols

        radii = dict.fromkeys(chemical_symbols[1:], 1.25) if radii is None else dict(radii)
        settings = {"depth": depth, "stiffness": stiffness, "cutoff": cutoff, "radii": radii}
        card = PotentialCard("pair", settings_hash(settings), tuple(radii), parse_references(references))
        super().__init__(card, "cpu", atoms_per_batch)
        self.depth, self.stiffness, self.cutoff, self.radii = depth, stiffness, cutoff, radii

    def verify(self) -> None:
        """Compare with the references, if there are any: its settings say all that there is to know."""
        if self.card.references:
            super().verify()

    def _evaluate_batch(self, frames: list[Atoms]) -> tuple[list[float], list[np.ndarray]]:
        results = [self._evaluate_one(frame) for frame in frames]
        return [energy for energy, _ in results], [forces for _, forces in results]

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
