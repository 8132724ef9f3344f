"""The relaxation of one structure: its state, its end and its result."""

from __future__ import annotations

from typing import NamedTuple, get_type_hints

import numpy as np
from ase import Atoms

from cryingan.geometry.neighbors import neighbors
from cryingan.relaxation.settings import RelaxSettings
from cryingan.relaxation.trajectory import Trajectory, TrajectoryFrames

FAILED = ("exploded", "not_finite", "too_close")  # reasons of structures that cannot be relaxed
REASONS = ("converged", "max_steps", "stalled", "exploded", "not_finite", "too_close", "time")


class Relaxed(NamedTuple):
    """Result of the relaxation of one structure.

    Attributes:
        sample: sample number.
        energy_initial: total energy at the start, eV; NaN when it was never computed.
        energy_final: total energy at `positions`, eV.
        steps: steps of the optimizer.
        evaluations: structures evaluated by the potential; conjugate gradients needs several a step.
        fmax: largest force on a free atom at `positions`, eV/Angstrom.
        converged: whether the forces fell below the target.
        reason: why it ended, one of `REASONS`.
        positions: Cartesian, not wrapped, Angstrom, shape (atoms, 3), at the last finite energy and forces.
        frames: some of its frames, if the settings ask for them.
    """

    sample: int
    energy_initial: float
    energy_final: float
    steps: int
    evaluations: int
    fmax: float
    converged: bool
    reason: str
    positions: np.ndarray
    frames: TrajectoryFrames | None = None


# What a table of results holds.
COLUMNS = {name: kind for name, kind in get_type_hints(Relaxed).items() if kind in (int, float, bool, str)}


class Relaxation:
    """One structure while it relaxes: the last accepted state, and whether the relaxation has ended.

    Args:
        sample: sample number.
        atoms: the structure, periodic, with the constraints of fixed atoms; it is moved.
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
        return "too_close" if self._too_close(self.start) else None

    def _too_close(self, positions: np.ndarray) -> bool:
        return len(neighbors(positions, np.asarray(self.atoms.cell), self.settings.min_distance)[0]) > 0

    def free(self, forces: np.ndarray) -> np.ndarray:
        """Forces without those on fixed atoms, eV/Angstrom, shape (atoms, 3)."""
        if not self.atoms.constraints:
            return forces
        forces = forces.copy()
        for constraint in self.atoms.constraints:
            constraint.adjust_forces(self.atoms, forces)
        return forces

    def update(self, energy: float, forces: np.ndarray) -> str | None:
        """Record energy (eV) and forces (eV/Angstrom, shape (atoms, 3)); return the reason to end, or None."""
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            return "not_finite"
        self.energy, self.positions = float(energy), self.atoms.get_positions()
        self.fmax = float(np.linalg.norm(self.free(forces), axis=1).max())
        if self.steps == 0:
            self.energy_initial = self.energy
        self.trajectory.record(self.steps, self.energy, self.positions, forces)
        bounds, moved = self.settings, np.linalg.norm(self.positions - self.start, axis=1).max()
        far = moved > bounds.max_displacement or self.fmax > bounds.max_force
        if far or abs(self.energy) > bounds.max_energy * len(self.atoms):
            return "exploded"
        if self.fmax < bounds.fmax:
            return "converged"
        return "max_steps" if self.steps >= bounds.max_steps else None

    def end(self, reason: str) -> Relaxed:
        """The result, ended for `reason`; atoms on one spot are no minimum, whatever a potential says of them."""
        if reason == "converged" and self._too_close(self.positions):
            reason = "too_close"
        values = (self.energy_initial, self.energy, self.steps, self.evaluations, self.fmax)
        ended = (reason == "converged", reason, self.positions, self.trajectory.thinned())
        return Relaxed(self.sample, *values, *ended)
