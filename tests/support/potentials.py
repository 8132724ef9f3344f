"""Potentials that tests watch, and structures to evaluate."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from ase import Atoms

from cryingan.potentials.potential import Potential
from tests.support.paths import SHARED

PUBLISHED_M3GNET = SHARED / "potentials/M3GNet-MP-2021.2.8-PES"
needs_weights = pytest.mark.skipif(not PUBLISHED_M3GNET.is_dir(), reason="no M3GNet weights beside the repository")

MOS = Atoms("MoS", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[4.0] * 3, pbc=True)
MOS_ENERGY = -10.82436  # eV, published for M3GNet-MP-2021.2.8-PES
REFERENCE_TOLERANCE = 1e-4  # eV
SAME_FORCE = 1e-5  # eV/Angstrom, of single precision in structures of a few atoms


class CountingPotential(Potential):
    """Another potential that counts what it evaluates, and may be slow, wrong or fail.

    Args:
        inner: the potential that evaluates; copies in other processes are of it alone.
        spoil: called with the energies, forces and structures of each batch, and the number of the batch; it may
            change what it is given, wait or raise.

    Attributes:
        batches: number of structures in each batch that was evaluated, those that `spoil` let fail among them.
    """

    def __init__(self, inner: Potential, spoil: Callable[..., None] = lambda *_: None) -> None:
        super().__init__(inner.card, inner.device, inner.atoms_per_batch)
        self.inner, self.spoil, self.spec = inner, spoil, inner.spec
        self.batches: list[int] = []

    def _evaluate_batch(self, frames: list[Atoms]) -> tuple[Sequence[float], Sequence[np.ndarray]]:
        energies, forces = self.inner.evaluate(frames)
        self.batches.append(len(frames))
        self.spoil(energies, forces, frames, len(self.batches))
        return energies, forces


def rattled(atoms: Atoms, seed: int = 0, size: float = 0.1) -> Atoms:
    """A copy whose atoms are moved at random, by `size` (standard deviation, Angstrom)."""
    atoms = atoms.copy()
    atoms.rattle(size, seed=seed)
    return atoms


def as_reference(atoms: Atoms, energy: float, tolerance: float = REFERENCE_TOLERANCE) -> dict:
    """A structure and its energy (eV) as an entry of `references`."""
    structure = {"symbols": atoms.get_chemical_symbols(), "fractional": atoms.get_scaled_positions().tolist()}
    return {**structure, "cell": atoms.cell.tolist(), "energy": energy, "tolerance": tolerance}


T3 = {
    "kind": "tersoff",
    "name": "T3",
    "A": 1830.8,
    "B": 471.18,
    "lambda1": 2.4799,
    "lambda2": 1.7322,
    "lambda3": 1.7322,
    "beta": 1.0999e-6,
    "n": 0.78734,
    "c": 1.0039e5,
    "d": 16.218,
    "h": -0.59826,
    "R": 2.85,
    "D": 0.15,
}
"""Silicon of J. Tersoff, Phys. Rev. B 38, 9902 (1988), as arguments of `load_potential`."""
