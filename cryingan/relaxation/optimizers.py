"""Relax many structures in one process at fixed cell: FIRE in batches, or the paper's conjugate gradients."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from cryingan.potentials.potential import Potential
from cryingan.relaxation.one_structure import Relaxation, Relaxed
from cryingan.relaxation.settings import FireSettings, RelaxSettings

if TYPE_CHECKING:
    from ase import Atoms

# Both from docs/dismai_bench.md, "Relaxation".
PAPER_TOLERANCE = 1e-3  # eV/Angstrom, by which the paper's verdict on an ended relaxation exceeds fmax
PAPER_ALPHA = 70.0  # eV/Angstrom^2, the curvature by which the paper's protocol scales energies


class Fire:
    """FIRE's state for one structure, by the rule of ASE's `FIRE` without its downhill check.

    Source: Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006).

    Args:
        parameters: they do not change.

    Attributes:
        dt: time step.
        a: mixing of velocity and force.
        velocity: of the atoms, shape (atoms, 3); None before the first step.
        downhill: steps since the last one uphill.
    """

    def __init__(self, parameters: FireSettings) -> None:
        self.parameters = parameters
        self.dt, self.a = parameters.dt, parameters.a
        self.velocity: np.ndarray | None = None
        self.downhill = 0

    def displacement(self, forces: np.ndarray) -> np.ndarray:
        """The next step, Angstrom, from the forces in eV/Angstrom, both of shape (atoms, 3)."""
        if self.velocity is None:
            self.velocity = np.zeros_like(forces)
        elif np.vdot(forces, self.velocity) > 0:
            self._accelerate(forces)
        else:
            self.velocity = np.zeros_like(forces)
            self.a, self.dt, self.downhill = self.parameters.astart, self.dt * self.parameters.fdec, 0
        self.velocity = self.velocity + self.dt * forces
        step = self.dt * self.velocity
        length = np.sqrt(np.vdot(step, step))
        maxstep = self.parameters.maxstep
        return maxstep * step / length if length > maxstep else step

    def _accelerate(self, forces: np.ndarray) -> None:
        speed = np.sqrt(np.vdot(self.velocity, self.velocity))
        along_force = self.a * forces / np.sqrt(np.vdot(forces, forces)) * speed
        self.velocity = (1.0 - self.a) * self.velocity + along_force
        if self.downhill > self.parameters.nmin:
            self.dt = min(self.dt * self.parameters.finc, self.parameters.dtmax)
            self.a *= self.parameters.fa
        self.downhill += 1


def fire(
    structures: Iterable[tuple[int, Atoms]], potential: Potential, settings: RelaxSettings, deadline: float
) -> Iterator[Relaxed]:
    """Relax with FIRE in batches; structures that end make room for those that wait.

    Args:
        structures: sample number and structure of each.
        potential: it sets how many atoms are in the batch (`atoms_per_batch`).
        settings: how to relax.
        deadline: when to stop, seconds since the epoch.

    Yields:
        Results in the order in which they end.
    """
    waiting, running = deque(structures), []
    while waiting or running:
        if time.time() >= deadline:
            late = [Relaxation(*structure, settings) for structure in waiting]
            yield from (structure.end("time") for structure, _ in running)
            yield from (structure.end("time") for structure in late)
            return
        while waiting and _fits(waiting[0][1], running, potential):
            newcomer = Relaxation(*waiting.popleft(), settings)
            fault = newcomer.initial_fault()
            if fault:
                yield newcomer.end(fault)
            else:
                running.append((newcomer, Fire(settings.fire)))
        yield from _advance(running, potential)


def _fits(atoms: Atoms, running: list[tuple[Relaxation, Fire]], potential: Potential) -> bool:
    total = sum(len(structure.atoms) for structure, _ in running) + len(atoms)
    return not running or total <= potential.atoms_per_batch


def _advance(running: list[tuple[Relaxation, Fire]], potential: Potential) -> Iterator[Relaxed]:
    """Evaluate all running structures, yield and remove those that end, and move the others by one step."""
    energies, forces = potential.evaluate([structure.atoms for structure, _ in running])
    results = list(zip(running, energies, forces, strict=True))
    running.clear()
    for (structure, state), energy, force in results:
        structure.evaluations += 1
        reason = structure.update(energy, force)
        if reason:
            yield structure.end(reason)
            continue
        structure.atoms.positions += state.displacement(force)
        structure.steps += 1
        running.append((structure, state))


class _Ended(Exception):  # noqa: N818, it is no error
    """Stops ASE's optimizer from within; carries the reason."""


def conjugate_gradients(
    structures: Iterable[tuple[int, Atoms]], potential: Potential, settings: RelaxSettings, deadline: float
) -> Iterator[Relaxed]:
    """Relax one after the other with ASE's `SciPyFminCG`, as the paper does (docs/dismai_bench.md, "Relaxation").

    A structure that is below fmax at the start takes no step, as in ASE before 3.23. The optimizer aims at fmax; where
    it ends without reaching it, at its last step or because it finds nothing lower, the verdict of the paper tolerates
    0.001 eV/Angstrom more. Arguments and yield as in `fire`.
    """
    for sample, atoms in structures:
        structure = Relaxation(sample, atoms, settings)
        reason = structure.initial_fault() or _minimise(structure, potential, deadline)
        if reason in ("max_steps", "stalled") and structure.fmax <= settings.fmax + PAPER_TOLERANCE:
            reason = "converged"
        yield structure.end(reason)


def _minimise(structure: Relaxation, potential: Potential, deadline: float) -> str:
    from ase.optimize.sciopt import OptimizerConvergenceError, SciPyFminCG

    atoms, settings = structure.atoms, structure.settings
    atoms.calc = _calculator(structure, potential, deadline)
    optimizer = SciPyFminCG(atoms, logfile=None, alpha=PAPER_ALPHA)

    def update() -> None:
        structure.steps = optimizer.nsteps
        reason = structure.update(atoms.get_potential_energy(), atoms.get_forces())
        if reason:
            raise _Ended(reason)

    # Observers are called at the start and after each iteration, not inside the line search, whose trial points may
    # be wild without harm.
    optimizer.attach(update)
    try:
        optimizer.run(settings.fmax, settings.max_steps)
    except _Ended as ended:
        return str(ended)
    except OptimizerConvergenceError:
        pass
    return "stalled"


def _calculator(structure: Relaxation, potential: Potential, deadline: float):
    """An ASE calculator of `potential` that stops the optimizer at the deadline or at a non-finite number."""
    from ase.calculators.calculator import Calculator, all_changes

    class PotentialCalculator(Calculator):
        implemented_properties = ("energy", "forces")

        def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str] = all_changes) -> None:
            super().calculate(atoms, properties, system_changes)
            if time.time() >= deadline:
                raise _Ended("time")
            energies, forces = potential.evaluate([self.atoms])
            structure.evaluations += 1
            self.results = {"energy": float(energies[0]), "forces": forces[0]}
            if not (np.isfinite(energies[0]) and np.isfinite(forces[0]).all()):
                raise _Ended("not_finite")

    return PotentialCalculator()


OPTIMIZERS = {"fire": fire, "cg": conjugate_gradients}
