"""Optimizers at fixed cell: FIRE for batches of structures, and the conjugate gradients of the paper."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from ase import Atoms

from cryingan.potentials.potential import Potential
from cryingan.relaxation.one_structure import Relaxation, Relaxed
from cryingan.relaxation.settings import FireSettings, RelaxSettings

# Both from docs/dismai_bench.md, "Relaxation".
PAPER_TOLERANCE = 1e-3  # eV/Angstrom, by which the paper's verdict on an ended relaxation exceeds fmax
PAPER_ALPHA = 70.0  # eV/Angstrom^2, the curvature by which the paper's protocol scales energies


class Fire:
    """FIRE for one structure, by the rule of ASE's `FIRE` without its downhill check.

    Source: Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006).

    Args:
        parameters: of FIRE.

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
        fixed = self.parameters
        if self.velocity is None:
            self.velocity = np.zeros_like(forces)
        elif np.vdot(forces, self.velocity) > 0:
            speed = np.sqrt(np.vdot(self.velocity, self.velocity))
            along_force = self.a * forces / np.sqrt(np.vdot(forces, forces)) * speed
            self.velocity = (1.0 - self.a) * self.velocity + along_force
            if self.downhill > fixed.nmin:
                self.dt = min(self.dt * fixed.finc, fixed.dtmax)
                self.a *= fixed.fa
            self.downhill += 1
        else:
            self.velocity = np.zeros_like(forces)
            self.a, self.dt, self.downhill = fixed.astart, self.dt * fixed.fdec, 0
        self.velocity = self.velocity + self.dt * forces
        step = self.dt * self.velocity
        length = np.sqrt(np.vdot(step, step))
        return fixed.maxstep * step / length if length > fixed.maxstep else step


def fire(
    structures: Iterable[tuple[int, Atoms]], potential: Potential, settings: RelaxSettings, deadline: float
) -> Iterator[Relaxed]:
    """Relax with FIRE in batches; a waiting structure takes the place of one that ends.

    Args:
        structures: pairs of sample number and structure.
        potential: its `atoms_per_batch` bounds the atoms in a batch.
        settings: how to relax.
        deadline: when to stop, seconds since the epoch.

    Yields:
        Results in the order in which they end.
    """
    waiting, running = deque(structures), []
    while waiting or running:
        if time.time() >= deadline:
            late = [structure for structure, _ in running] + [Relaxation(*each, settings) for each in waiting]
            yield from (structure.end("time") for structure in late)
            return
        atoms = sum(len(structure.atoms) for structure, _ in running)
        while waiting and (not running or atoms + len(waiting[0][1]) <= potential.atoms_per_batch):
            newcomer = Relaxation(*waiting.popleft(), settings)
            if fault := newcomer.initial_fault():
                yield newcomer.end(fault)
            else:
                running.append((newcomer, Fire(settings.fire)))
                atoms += len(newcomer.atoms)
        yield from _advance(running, potential)


def _advance(running: list[tuple[Relaxation, Fire]], potential: Potential) -> Iterator[Relaxed]:
    """Move the running structures by one step; yield and remove those that end."""
    energies, forces = potential.evaluate([structure.atoms for structure, _ in running])
    results = list(zip(running, energies, forces, strict=True))
    running.clear()
    for (structure, state), energy, force in results:
        structure.evaluations += 1
        if reason := structure.update(energy, force):
            yield structure.end(reason)
        else:
            structure.atoms.positions += state.displacement(structure.free(force))
            structure.steps += 1
            running.append((structure, state))


class _Ended(Exception):  # noqa: N818, it is no error
    """Stops ASE's optimizer from within; carries the reason."""


def conjugate_gradients(
    structures: Iterable[tuple[int, Atoms]], potential: Potential, settings: RelaxSettings, deadline: float
) -> Iterator[Relaxed]:
    """Relax one structure after the other with ASE's `SciPyFminCG`, as the paper does.

    A structure whose forces are below fmax at the start takes no step, as in ASE before 3.23. One that ends above
    fmax, at the last step or because the line search finds nothing lower, counts as converged up to 0.001 eV/Angstrom
    more, by the verdict of the paper. Arguments and yields are those of `fire`.

    Source: docs/dismai_bench.md, "Relaxation".
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
    atoms.calc = _calculator(structure, potential, deadline)  # of the trial points of the line search, too
    optimizer = SciPyFminCG(atoms, logfile=None, alpha=PAPER_ALPHA)

    def update() -> None:
        structure.steps = optimizer.nsteps
        if reason := structure.update(atoms.get_potential_energy(), atoms.get_forces(apply_constraint=False)):
            raise _Ended(reason)

    optimizer.attach(update)  # called at the start and after each iteration, not within the line search
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
