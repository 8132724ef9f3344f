"""The bulk crystals of an interface, read from the file of its system and relaxed with a potential."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from cryingan.potentials.potential import Potential
    from data.interface.systems import Crystal, System

FMAX = 0.001  # eV/Angstrom, as the paper relaxes its unit cells
STRAIN = 2e-3  # of the central differences
MAX_STEPS = 300


def make_crystal(crystal: Crystal, folder: str) -> Atoms:
    """The conventional cell of a crystal.

    Args:
        crystal: crystal of a system.
        folder: folder of the system's file.

    Raises:
        CryinGANError: the file is refused, or space group, lattice and sites make no crystal.
    """
    from pymatgen.core import Element, Lattice, Structure

    if crystal.file is not None:
        [atoms] = read_structures(Path(folder) / crystal.file)[:1].to_ase()
        atoms.set_constraint()  # what is fixed in a bulk crystal means nothing for its slabs
        return atoms
    if unknown := [element for element in crystal.sites if not Element.is_valid_symbol(element)]:
        raise CryinGANError(f"crystal {crystal.spacegroup}: unknown element {', '.join(unknown)}")
    if not crystal.sites:
        raise CryinGANError("crystal: give a file, or spacegroup, lattice and sites")
    if not all(np.ndim(orbits) == 2 and np.shape(orbits)[1] == 3 for orbits in crystal.sites.values()):
        raise CryinGANError(f"crystal {crystal.spacegroup}: sites of an element are a list of [x, y, z]")
    species = [element for element, orbits in crystal.sites.items() for _ in orbits]
    sites = [site for orbits in crystal.sites.values() for site in orbits]
    try:
        lattice = Lattice.from_parameters(*crystal.lattice)
        structure = Structure.from_spacegroup(crystal.spacegroup, lattice, species, sites)
    except (ValueError, TypeError, KeyError) as error:
        raise CryinGANError(
            f"crystal {crystal.spacegroup} {crystal.lattice}: {' '.join(str(error).split())}"
        ) from error
    return structure.to_ase_atoms(msonable=False)


def prepared_crystals(system: System, potential: Potential, work: Path) -> tuple[Atoms, Atoms]:
    """The crystals of substrate and film; if the system asks for it, relaxed, once for each potential.

    Args:
        system: the system.
        potential: potential that relaxes them.
        work: folder of the relaxed crystals.

    Raises:
        CryinGANError: see `make_crystal` and `relax_crystal`.
    """
    prepared = []
    for slab in (system.substrate, system.film):
        crystal = make_crystal(slab.crystal, system.folder)
        if system.relax_crystals:
            path = _relaxed_path(crystal, potential.card.hash, work)
            if not path.exists():
                write_structures(Crystals.from_ase([relax_crystal(crystal, potential)]), path)
            [crystal] = read_structures(path).to_ase()
        prepared.append(crystal)
    return tuple(prepared)


def kept_crystals(system: System, potential_hash: str, work: Path) -> tuple[Atoms, Atoms]:
    """The crystals that `prepared_crystals` wrote.

    Args:
        system: the system.
        potential_hash: hash of the potential that relaxed them.
        work: folder of the relaxed crystals.

    Raises:
        CryinGANError: one is missing, or see `make_crystal`.
    """
    kept = []
    for slab in (system.substrate, system.film):
        crystal = make_crystal(slab.crystal, system.folder)
        if system.relax_crystals:
            [crystal] = read_structures(_relaxed_path(crystal, potential_hash, work)).to_ase()
        kept.append(crystal)
    return tuple(kept)


def _relaxed_path(crystal: Atoms, potential_hash: str, work: Path) -> Path:
    # rounded, because the last digits depend on the processor
    numbers = [(np.round(np.asarray(one), 5) + 0.0).tolist() for one in (crystal.cell, crystal.positions)]
    start = hashlib.sha256(repr((str(crystal.symbols), *numbers)).encode())
    name = crystal.get_chemical_formula(empirical=True)
    return work / f"{name}-{start.hexdigest()[:8]}-{potential_hash[:8]}.extxyz"


def reduced_formula(atoms: Atoms) -> str:
    """Reduced formula with elements in conventional order, such as Li2O or LiCoO2."""
    from pymatgen.core import Composition

    return Composition(atoms.get_chemical_formula()).reduced_formula


def relax_crystal(atoms: Atoms, potential: Potential) -> Atoms:
    """Relax positions and cell at fixed symmetry.

    Args:
        atoms: the crystal.
        potential: potential for energies and forces; the stress comes from differences of energies.

    Raises:
        CryinGANError: the potential does not know an element, or the relaxation does not converge.
    """
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    relaxed = atoms.copy()
    relaxed.calc = _calculator(potential)
    relaxed.set_constraint(FixSymmetry(relaxed, symprec=1e-3))
    optimizer = BFGS(FrechetCellFilter(relaxed), logfile=None)
    if not optimizer.run(fmax=FMAX, steps=MAX_STEPS):
        raise CryinGANError(
            f"crystal {reduced_formula(atoms)}: not relaxed after {MAX_STEPS} steps with {potential.card.name}"
        )
    relaxed.set_constraint()
    relaxed.calc = None
    return relaxed


def _calculator(potential: Potential) -> Calculator:
    from ase.calculators.calculator import Calculator, all_changes

    class WithStress(Calculator):
        implemented_properties = ("energy", "forces", "stress")

        def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str] = all_changes) -> None:
            super().calculate(atoms, properties, system_changes)
            [energy], [forces] = potential.evaluate([atoms])
            self.results = {"energy": float(energy), "forces": forces, "stress": stress(atoms, potential)}

    return WithStress()


def stress(atoms: Atoms, potential: Potential) -> np.ndarray:
    """Stress by central differences of the energy, eV/Angstrom^3, shape (6,) in Voigt's order."""
    from ase.stress import voigt_6_to_full_3x3_strain

    strained = []
    for component in np.eye(6):
        for sign in (1, -1):
            frame = atoms.copy()
            frame.set_constraint()
            deformation = voigt_6_to_full_3x3_strain(sign * STRAIN * component)  # identity included
            frame.set_cell(np.asarray(atoms.cell) @ deformation, scale_atoms=True)
            strained.append(frame)
    energies = potential.evaluate(strained)[0].reshape(6, 2)
    return (energies[:, 0] - energies[:, 1]) / (2 * STRAIN * atoms.get_volume())
