"""Potentials that a formula and its parameters define completely."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from ase import Atoms

from cryingan.potentials.potential import Potential


class AnalyticPotential(Potential):
    """A potential in NumPy, without weights: a subclass evaluates one structure at a time, on the CPU, in float64.

    Without reference energies there is nothing to verify, and no warning.
    """

    def verify(self) -> None:
        """Compare with the references, if there are any."""
        if self.card.references:
            super().verify()

    def _evaluate_batch(self, frames: list[Atoms]) -> tuple[list[float], list[np.ndarray]]:
        results = [self._evaluate_one(frame) for frame in frames]
        return [energy for energy, _ in results], [forces for _, forces in results]

    @abstractmethod
    def _evaluate_one(self, frame: Atoms) -> tuple[float, np.ndarray]:
        """The energy (eV) and the forces (eV/Angstrom), shape (atoms, 3)."""
