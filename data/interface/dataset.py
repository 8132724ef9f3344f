"""The data set of an interface: relaxed structures below the cut-off, and the energies of all structures."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.energies.scale import interface_area, interface_factor
from cryingan.relaxation.one_structure import Relaxed
from cryingan.storage.atomic import replace_file
from cryingan.structures.contacts import Contact, contact_text
from cryingan.structures.crystals import Crystals
from data.interface.assembly import Interface

ENERGIES = "energies.csv"
LEAST = 2  # structures of a set


@dataclass(frozen=True, eq=False)
class RelaxedSet:
    """Everything that was relaxed for a data set, sorted by number.

    Attributes:
        interface: interface of the structures.
        results: results of the relaxations.
        potential: name and hash of the potential.
        kept: which structures are in the data set, shape (structures,): below the cut-off, without contacts.
        cutoff: highest energy among the share that the system keeps, with contacts or not, eV/atom.
        contacts: anions that are too close in each structure, as `cryingan.structures.contacts.contacts` has it.
        how: settings of the relaxations: optimizer, fmax and max_steps, as `cryingan.relaxation.settings.RelaxSettings`
            has them, and `fixed` where atoms were fixed.
        fixed: Cartesian directions in which atoms were fixed, bool, shape (atoms, 3); None where all were free.
        first: name and hash of quicker potentials, and what each made of structures before `potential` relaxed them;
            the initial energies of those that did not fail are not known.
        screen: structures that these relaxed to a higher energy were not relaxed with `potential`, eV/atom.
    """

    interface: Interface
    results: list[Relaxed]
    potential: Mapping[str, str]
    kept: np.ndarray
    cutoff: float
    contacts: list[list[Contact] | None]
    how: Mapping[str, Any]
    fixed: np.ndarray | None = None
    first: Mapping[tuple[str, str], list[Relaxed]] = field(default_factory=dict)
    screen: float | None = None

    @property
    def n_atoms(self) -> int:
        """Atoms of a structure."""
        return len(self.interface.order)

    @property
    def energies(self) -> np.ndarray:
        """Relaxed energies, eV/atom, shape (structures,); NaN for structures that did not converge."""
        return energies_of(self.results, self.n_atoms)

    @property
    def factor(self) -> float:
        """J/m^2 per eV/atom."""
        return interface_factor(self.n_atoms, interface_area(np.asarray(self.interface.slabs.cell)))

    @property
    def crystals(self) -> Crystals:
        """All structures, relaxed."""
        return crystals_of(self.interface, self.results, self.fixed)


def energies_name(potential: str) -> str:
    """Name of the file beside a set that holds the energies of its random structures by another potential."""
    return f"{Path(ENERGIES).stem}_{potential}.csv"


def highest_kept(energies: np.ndarray, share: float, screened: int = 0) -> float:
    """The cut-off that keeps a share of random structures: the highest energy of those kept.

    Args:
        energies: relaxed energies, eV/atom, shape (structures,); NaN for structures that did not converge.
        share: share of the converged structures that is kept.
        screened: how many of those without an energy count as converged, above all others.

    Returns:
        eV/atom; infinite where one without an energy would be kept.
    """
    relaxed = np.sort(np.append(energies[np.isfinite(energies)], np.full(screened, np.inf)))
    highest = relaxed[max(LEAST, round(share * len(relaxed))) - 1]
    return float(np.ceil(highest * 1e8) / 1e8)  # rounded up to the digits of the card


def write_structures_kept(relaxed: RelaxedSet, path: Path) -> None:
    """Write the structures that are kept as gzipped extended XYZ, the same bytes each time."""
    crystals, energies = relaxed.crystals, relaxed.energies
    columns, marks = "", [""] * relaxed.n_atoms
    if relaxed.fixed is not None:
        columns, marks = ":move_mask:L:1", [" F" if fixed else " T" for fixed in relaxed.fixed.all(axis=1)]
    lattice = " ".join(f"{x:.8f}" for x in crystals.cell.ravel())
    with replace_file(path) as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        for index in np.flatnonzero(relaxed.kept):
            header = f'{relaxed.n_atoms}\nLattice="{lattice}" Properties=species:S:1:pos:R:3{columns} pbc="T T T"'
            header += f" number={relaxed.results[index].sample} energy_per_atom={energies[index]:.8f}\n"
            places = crystals.fractional[index] @ crystals.cell
            rows = [
                f"{symbol:<2s} {x:.5f} {y:.5f} {z:.5f}{mark}\n"
                for symbol, (x, y, z), mark in zip(crystals.species, places, marks, strict=True)
            ]
            packed.write((header + "".join(rows)).encode())


def write_energies(relaxed: RelaxedSet, path: Path) -> None:
    """Write a row per structure: its energies, how its relaxation ended, whether it is kept, and its contacts."""
    text = io.StringIO()
    text.write("number,energy_per_atom_initial,energy_per_atom,interface_energy,steps,fmax,reason,kept,contacts\n")
    energies = relaxed.energies
    for one, energy, kept, found in zip(relaxed.results, energies, relaxed.kept, relaxed.contacts, strict=True):
        initial = one.energy_initial / relaxed.n_atoms
        values = [_number(initial), _number(energy), _number((energy - relaxed.cutoff) * relaxed.factor)]
        ended = f"{one.steps},{_number(one.fmax)},{one.reason},{kept},{contact_text(found)}"
        text.write(f"{one.sample},{','.join(values)},{ended}\n")
    with replace_file(path) as file:
        file.write(text.getvalue().encode())


def write_other_energies(rows: Iterable[tuple[int, float, int, float, str]], path: Path) -> None:
    """Write a row per structure that another potential relaxed.

    Args:
        rows: number in the build, relaxed energy (eV/atom, NaN where there is none), steps, largest force at the end
            (eV/Angstrom) and how the relaxation ended.
        path: the CSV file.
    """
    text = io.StringIO()
    text.write("number,energy_per_atom,steps,fmax,reason\n")
    for number, energy, steps, fmax, reason in rows:
        text.write(f"{number},{_number(energy)},{steps},{_number(fmax)},{reason}\n")
    with replace_file(path) as file:
        file.write(text.getvalue().encode())


def crystals_of(interface: Interface, results: list[Relaxed], fixed: np.ndarray | None) -> Crystals:
    """The structures of results, at their ends; `fixed` as `RelaxedSet` has it."""
    cell, positions = np.asarray(interface.slabs.cell), np.array([relaxed.positions for relaxed in results])
    fixed = None if fixed is None else np.broadcast_to(fixed, positions.shape)
    return Crystals(positions @ np.linalg.inv(cell), cell, interface.species, fixed)


def _number(value: float) -> str:
    return f"{value:.10g}" if np.isfinite(value) else ""


def energies_of(results: list[Relaxed], n_atoms: int) -> np.ndarray:
    """Relaxed energies, eV/atom, shape (results,); NaN for structures that did not converge."""
    return np.array([one.energy_final / n_atoms if one.converged else np.nan for one in results], dtype=np.float64)
