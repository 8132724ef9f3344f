"""The state of the relaxation of one structure, when it ends, and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cryingan.geometry.neighbors import neighbors
from cryingan.relaxation.settings import RelaxSettings
from cryingan.relaxation.trajectory import Trajectory, TrajectoryFrames

if TYPE_CHECKING:
    from ase import Atoms

FAILED = ("exploded", "not_finite", "too_close")  # reasons of structures that cannot be relaxed
REASONS = ("converged", "max_steps", "stalled", "exploded", "not_finite", "too_close", "time")


class Relaxed(NamedTuple):
    """How the relaxation of one structure ended.

    Attributes:
        sample: sample number.
        positions: Cartesian, not wrapped, Angstrom, shape (atoms, 3); the last ones with finite energy and forces.
        energy_initial: total energy at the start, eV; NaN when it was never computed.
        energy_final: total energy at `positions`, eV.
        steps: steps of the optimizer.
        evaluations: structures evaluated by the potential; conjugate gradients needs several a step.
        fmax: largest force on an atom at `positions`, eV/Angstrom.
        reason: why it ended, one of `REASONS`.
        frames: some of its frames, where the settings ask for them.
    """

    sample: int
    positions: np.ndarray
    energy_initial: float
    energy_final: float
    steps: int
    evaluations: int
    fmax: float
    reason: str
    frames: TrajectoryFrames | None = None

    @property
    def converged(self) -> bool:
        """Whether the forces fell below the target."""
        return self.reason == "converged"


class Relaxation:
    """One structure while it relaxes: the last accepted state, and whether the relaxation has ended.

    Args:
        sample: sample number.
        atoms: the structure, periodic; it is moved.
        settings: targets and bounds.
    """

    def __init__(self, sample: int, atoms: Atoms, settings: RelaxSettings) -> None:
        self.sample, self.atoms, self.settings = sample, atoms, settings
        self.start = self.positions = atoms.get_positions()
        self.energy_initial = self.energy = self.fmax = float("nan")
        self.steps = self.evaluations = 0
        self.trajectory = Trajectory(settings.frames)

    def initial_fault(self) -> str | None:
        """Why the structure cannot be relaxed, or None."""
        if not np.isfinite(self.start).all():
            return "not_finite"
        sources, _, _ = neighbors(self.start, np.asarray(self.atoms.cell), self.settings.min_distance)
        return "too_close" if len(sources) else None

    def update(self, energy: float, forces: np.ndarray) -> str | None:
        """Record energy (eV) and forces (eV/Angstrom, shape (atoms, 3)); return the reason to end, or None."""
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            return "not_finite"
        self.energy, self.positions = float(energy), self.atoms.get_positions()
        self.fmax = float(np.linalg.norm(forces, axis=1).max())
        if self.steps == 0:
            self.energy_initial = self.energy
        self.trajectory.record(self.steps, self.energy, self.positions, forces)
        if self._exploded():
            return "exploded"
        if self.fmax < self.settings.fmax:
            return "converged"
        return "max_steps" if self.steps >= self.settings.max_steps else None

    def end(self, reason: str) -> Relaxed:
        """The result, ended for `reason`."""
        energies = (self.energy_initial, self.energy)
        counts = (self.steps, self.evaluations)
        return Relaxed(self.sample, self.positions, *energies, *counts, self.fmax, reason, self.trajectory.thinned())

    def _exploded(self) -> bool:
        bounds = self.settings
        moved = np.linalg.norm(self.positions - self.start, axis=1).max()
        far = moved > bounds.max_displacement or self.fmax > bounds.max_force
        return bool(far or abs(self.energy) > bounds.max_energy * len(self.atoms))
