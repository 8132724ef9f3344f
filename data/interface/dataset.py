"""The data set of an interface: relaxed structures below the cut-off, and the energies of all structures."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.energies.scale import interface_area, interface_factor
from cryingan.errors import CryinGANError
from cryingan.relaxation.journal import RELAX_MANIFEST, read_journal
from cryingan.relaxation.one_structure import Relaxed
from cryingan.storage.atomic import replace_file
from cryingan.structures.constraints import fixed_directions
from cryingan.structures.contacts import Contact, contact_text, contacts
from cryingan.structures.crystals import Crystals
from data.interface.assembly import Interface
from data.interface.parts import any_structure, part_folders, relaxed_first

ENERGIES = "energies.csv"
PROTOCOL = ("optimizer", "fmax", "max_steps")
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
        how: settings of the relaxations: `PROTOCOL` of `cryingan.relaxation.settings.RelaxSettings`, and `fixed` where
            atoms were fixed.
        fixed: Cartesian directions in which atoms were fixed, bool, shape (atoms, 3); None where all were free.
        first: name and hash of quicker potentials, and how many structures each relaxed before `potential` did; the
            initial energies of these structures are not known.
    """

    interface: Interface
    results: list[Relaxed]
    potential: Mapping[str, str]
    kept: np.ndarray
    cutoff: float
    contacts: list[list[Contact] | None]
    how: Mapping[str, Any]
    fixed: np.ndarray | None = None
    first: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def n_atoms(self) -> int:
        """Atoms of a structure."""
        return len(self.interface.order)

    @property
    def energies(self) -> np.ndarray:
        """Relaxed energies, eV/atom, shape (structures,); NaN for structures that did not converge."""
        return _energies(self.results, self.n_atoms)

    @property
    def factor(self) -> float:
        """J/m^2 per eV/atom."""
        return interface_factor(self.n_atoms, interface_area(np.asarray(self.interface.slabs.cell)))

    @property
    def crystals(self) -> Crystals:
        """All structures, relaxed."""
        return _crystals(self.interface, self.results, self.fixed)


def collect(interface: Interface, work: Path) -> RelaxedSet:
    """Collect what has been relaxed so far, and decide which structures are kept.

    Args:
        interface: interface of the structures.
        work: folder of the relaxations.

    Raises:
        CryinGANError: fewer than two have been relaxed, or are left without those that have contacts.
    """
    folders, n_atoms = part_folders(work), len(interface.order)
    ended: list[Relaxed] = []
    first: Counter[tuple[str, str]] = Counter()
    for folder in folders:
        part = [relaxed for relaxed in read_journal(folder, n_atoms) if relaxed.reason != "time"]
        if (before := relaxed_first(folder, n_atoms)) is not None:
            quicker, able = before
            part = [one._replace(energy_initial=np.nan) if one.sample in able else one for one in part]
            first[quicker] += len(able & {one.sample for one in part})
        ended += part
    energies = _energies(ended, n_atoms)
    if np.isfinite(energies).sum() < LEAST:
        reasons = ", ".join(f"{n} {reason}" for reason, n in Counter(one.reason for one in ended).items())
        found = f"{np.isfinite(energies).sum()} structures are relaxed ({reasons or 'none tried'})"
        raise CryinGANError(f"{work}: {found}, too few for a data set")
    cutoff = highest_kept(energies, interface.system.kept)
    manifest = json.loads((folders[0] / RELAX_MANIFEST).read_bytes())
    how = {key: manifest["settings"][key] for key in PROTOCOL}
    if rule := manifest["settings"].get("fixed"):
        how["fixed"] = rule
    fixed = fixed_directions(next(filter(None, map(any_structure, folders))))
    found = contacts(_crystals(interface, ended, fixed))
    kept = (energies <= cutoff) & ~np.array(list(map(bool, found)))
    if kept.sum() < LEAST:
        closest = contact_text(next(filter(None, found))[:1])
        low = f"of {(energies <= cutoff).sum()} structures below the cut-off {kept.sum()} are"
        raise CryinGANError(f"{work}: {low} without anions that are too close (such as {closest}), too few for a set")
    return RelaxedSet(interface, ended, manifest["potential"], kept, cutoff, found, how, fixed, first)


def highest_kept(energies: np.ndarray, share: float) -> float:
    """The cut-off that keeps a share of random structures: the highest energy of those kept.

    Args:
        energies: relaxed energies, eV/atom, shape (structures,); NaN for structures that did not converge.
        share: share of the converged structures that is kept.
    """
    relaxed = np.sort(energies[np.isfinite(energies)])
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


def _crystals(interface: Interface, results: list[Relaxed], fixed: np.ndarray | None) -> Crystals:
    cell, positions = np.asarray(interface.slabs.cell), np.array([relaxed.positions for relaxed in results])
    fixed = None if fixed is None else np.broadcast_to(fixed, positions.shape)
    return Crystals(positions @ np.linalg.inv(cell), cell, interface.species, fixed)


def _number(value: float) -> str:
    return f"{value:.10g}" if np.isfinite(value) else ""


def _energies(results: list[Relaxed], n_atoms: int) -> np.ndarray:
    return np.array([one.energy_final / n_atoms if one.converged else np.nan for one in results], dtype=np.float64)
