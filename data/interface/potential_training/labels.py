"""Energy, forces and stress of a frame, by the names that a file has for them, in eV and Angstrom.

Names are compared without regard to case: `energy`, `total_energy`, `TotEnergy` and `free_energy`; `forces` and
`force`; `stress`, `virial` and `virials`; each also with `REF_` or `DFT_` before it. A virial W (eV) is turned into the
stress -W / volume, as MACE, GAP and GPUMD define it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.structures.frames import RawFrame, is_isolated_atom

if TYPE_CHECKING:
    from ase import Atoms

EV_PER_CUBIC_ANGSTROM = 160.21766208  # GPa
BASES = {
    "energy": ("energy", "total_energy", "totenergy", "free_energy"),
    "forces": ("forces", "force"),
    "stress": ("stress", "virial", "virials"),
}
NAMES = {
    kind: [f"{prefix}{base}" for base in bases for prefix in ("", "ref_", "dft_")] for kind, bases in BASES.items()
}
LARGEST = {"energy": 1e6, "forces": 1e3, "stress": 1e3}  # eV/atom, eV/Angstrom, GPa; beyond these, units are wrong
SUSPECT_STRESS = 100.0  # GPa; few sets have a larger one at the median
SAME_LABEL = {"rtol": 1e-3, "atol": 1e-4}  # labels under two names that differ by more are two labels
ALONE = 6.0  # Angstrom; one atom per cell with images beyond this is no crystal: caesium's neighbours are 5.3 apart
PER_ATOM = ("forces", "energies", "stresses", "charges", "magmoms")  # results of an ASE calculator
OF_THE_CELL = ("lattice", "properties", "pbc")


class Held(NamedTuple):
    """What a frame holds beside species, positions and cell.

    Attributes:
        values: of the structure, by name.
        columns: of the atoms, by name.
    """

    values: Mapping[str, Any]
    columns: Mapping[str, np.ndarray]

    def of(self, kind: str) -> Mapping[str, Any]:
        """Where labels of a kind can be."""
        return self.columns if kind == "forces" else self.values

    def candidates(self, kind: str) -> list[str]:
        """Names that are usual for a kind of label, the most usual first."""
        rank = {name: NAMES[kind].index(name.lower()) for name in self.of(kind) if name.lower() in NAMES[kind]}
        return sorted(rank, key=lambda name: (rank[name], name))

    def __str__(self) -> str:
        """Names of everything, for messages."""
        values, columns = (", ".join(map(str, names)) or "none" for names in self)
        return f"keys: {values}; columns: {columns}"


def held(frame: RawFrame, atoms: Atoms) -> Held:
    """Return what a frame holds, from the comment of extended XYZ or the results of any other format."""
    results = dict(atoms.calc.results) if atoms.calc else {}
    columns = {name: results.pop(name) for name in PER_ATOM if name in results}
    given = {**atoms.info.get("key_value_pairs", {}), **atoms.info, **frame.info}  # a database's pairs are one entry
    values = {name: value for name, value in given.items() if name.lower() not in OF_THE_CELL}
    arrays = {name: array for name, array in atoms.arrays.items() if name not in ("numbers", "positions")}
    return Held({**values, **results}, {**arrays, **columns})


def is_reference_atom(frame: RawFrame) -> bool:
    """Whether a frame is a reference energy of one atom, in a large cell too, not a crystal."""
    atoms = frame.outcome
    return is_isolated_atom(frame) or (
        not isinstance(atoms, CryinGANError) and len(atoms) == 1 and _shortest(atoms) > ALONE
    )


def _shortest(atoms: Atoms) -> float:
    from ase.geometry import minkowski_reduce

    return float(np.linalg.norm(minkowski_reduce(atoms.cell)[0], axis=1).min())


@dataclass
class LabelReader:
    """Reads the labels of one file's frames; the names that the first frame has hold for all of them.

    Attributes:
        asked: names that were given, by kind: energy, forces, stress; None to find it.
        stresses: whether stresses are wanted.
        found: names in use, by kind; None for a stress that the file does not have.
        unused: names of further labels that agree with those in use, or are no reason to doubt them.
    """

    asked: Mapping[str, str | None]
    stresses: bool = True
    found: dict[str, str | None] = field(default_factory=dict)
    unused: dict[str, None] = field(default_factory=dict)

    def read(self, frame: RawFrame, atoms: Atoms) -> tuple[float, np.ndarray, np.ndarray | None]:
        """Return energy (eV), forces (eV/Angstrom) and stress (eV/Angstrom^3, shape (3, 3)) of a frame.

        Raises:
            CryinGANError: a label is missing, is not what its name says, has other units, or two names differ.
        """
        there = held(frame, atoms)
        for kind in ("energy", "forces", *(["stress"] if self.stresses else [])):
            self._choose(kind, there, frame.where)
        labels = {
            kind: self._agreed(kind, name, there, atoms, frame.where) for kind, name in self.found.items() if name
        }
        check_units(labels, len(atoms), self.found, frame.where)
        return labels["energy"], labels["forces"], labels.get("stress")

    def _choose(self, kind: str, there: Held, where: str) -> None:
        """Find the name of a kind of label, or refuse a frame that does not have the name in use."""
        name = self.asked.get(kind) or self.found.get(kind)
        if name is None and (kind not in self.found or kind == "stress"):
            name = next(iter(there.candidates(kind)), None)
            if kind == "stress" and name is not None and kind in self.found:
                raise CryinGANError(f"{where} has a stress ({name}), frames before it have none: {ALL_OR_NONE}")
        if name is not None and name not in there.of(kind):
            if kind == "stress" and not self.asked.get(kind):
                raise CryinGANError(f"{where} has no {name}, others have: {ALL_OR_NONE}")
            raise CryinGANError(f"{where} has no {name}, which {self._reason(kind)}; it has {there}")
        if name is None and kind != "stress":
            raise CryinGANError(f"{where} has no {kind} by a usual name: give {kind}_key=NAME; it has {there}")
        self.found[kind] = name

    def _reason(self, kind: str) -> str:
        return f"{kind}_key asks for" if self.asked.get(kind) else "frames before it have"

    def _agreed(self, kind: str, name: str, there: Held, atoms: Atoms, where: str) -> Any:
        """A label; refuses one that another usual name contradicts, unless its name was asked for."""
        label = value_of(kind, name, there.of(kind)[name], atoms, where)
        others = [] if self.asked.get(kind) else [one for one in there.candidates(kind) if one != name]
        for other in others:
            differs = not other.lower().endswith("free_energy") and not np.allclose(
                value_of(kind, other, there.of(kind)[other], atoms, where), label, **SAME_LABEL
            )
            if differs:
                raise CryinGANError(
                    f"{where}: {name} and {other} are different: give {kind}_key={name} or {kind}_key={other}"
                )
        self.unused |= dict.fromkeys(others)
        return label

    def line(self, isolated: int) -> str:
        """The names in use and what was left out, in words."""
        stress = self.found.get("stress")
        words = [f"energies from {self.found['energy']}", f"forces from {self.found['forces']}"]
        words += [f"stresses from {stress}" + (" (-virial/volume)" if is_virial(stress) else "")] if stress else []
        words += [] if stress else ["no stresses"] if self.stresses else ["stresses not read, as weights.stress=0"]
        words += [f"not used: {', '.join(self.unused)}"] if self.unused else []
        return "; ".join([", ".join(words), *([f"isolated atoms skipped: {isolated}"] if isolated else [])])


ALL_OR_NONE = "all or none need one (weights.stress=0 leaves stresses out)"


def is_virial(name: str) -> bool:
    """Whether a label is a virial by its name."""
    return "virial" in name.lower()


def value_of(kind: str, name: str, value: Any, atoms: Atoms, where: str) -> Any:
    """A label as a number or array.

    Raises:
        CryinGANError: it has another type or shape, or is not finite.
    """
    shapes = {"energy": [()], "forces": [(len(atoms), 3)], "stress": [(3, 3), (9,), (6,)]}[kind]
    array = np.asarray(value).squeeze() if kind == "energy" else np.asarray(value)
    if array.dtype.kind not in "fiu" or array.shape not in shapes:
        wanted = {"energy": "a number", "forces": "three numbers for each atom", "stress": "six or nine numbers"}[kind]
        raise CryinGANError(f"{where}: {name} must be {wanted}, not {_described(value)}")
    if not np.isfinite(array).all():
        raise CryinGANError(f"{where}: {name} is not finite")
    if kind == "energy":
        if "per_atom" in name.lower():
            raise CryinGANError(f"{where}: {name} is an energy per atom by its name; total energies (eV) are needed")
        return float(array)
    return array.astype(float) if kind == "forces" else _stress(name, array.astype(float), atoms, where)


def _described(value: Any) -> str:
    array = np.asarray(value)
    text = " ".join(str(value).split())
    return text[:40] if array.ndim == 0 else f"{array.dtype.name} of shape {array.shape}"


def _stress(name: str, array: np.ndarray, atoms: Atoms, where: str) -> np.ndarray:
    """A stress tensor (3, 3) in eV/Angstrom^3 from nine components, or six in the order xx, yy, zz, yz, xz, xy."""
    from ase.stress import voigt_6_to_full_3x3_stress

    tensor = voigt_6_to_full_3x3_stress(array) if array.size == 6 else array.reshape(3, 3)
    if not np.allclose(tensor, tensor.T, rtol=0, atol=0.05 * np.abs(tensor).max()):
        raise CryinGANError(f"{where}: {name} is not symmetric: {np.round(tensor, 4).tolist()}")
    return -tensor / atoms.get_volume() if is_virial(name) else tensor


def check_units(labels: Mapping[str, Any], n: int, names: Mapping[str, str | None], where: str) -> None:
    """Refuse labels of a size that only other units explain."""
    units = {"energy": "eV/atom", "forces": "eV/Angstrom", "stress": "GPa"}
    needed = {"energy": "eV", "forces": "eV/Angstrom", "stress": "eV/Angstrom^3 (a virial: eV)"}
    scale = {"energy": 1 / n, "forces": 1.0, "stress": EV_PER_CUBIC_ANGSTROM}
    for kind, label in labels.items():
        size = float(np.abs(label).max()) * scale[kind]
        if size > LARGEST[kind]:
            raise CryinGANError(
                f"{where}: {names[kind]} would be {size:,.0f} {units[kind]}; it is needed in {needed[kind]}: is it in "
                f"other units{', such as GPa or kbar' if kind == 'stress' else ''}?"
            )


def check_all(atoms: Sequence[Atoms], energies: np.ndarray, stresses: np.ndarray | None, name: str) -> str | None:
    """Look at the units of all labels of a file together.

    Returns:
        A warning in one line, or None.

    Raises:
        CryinGANError: the energies are those of an atom.
    """
    sizes = np.array([len(one) for one in atoms])
    elements = sorted({int(number) for one in atoms for number in one.numbers})
    counts = np.array([[(one.numbers == element).sum() for element in elements] for one in atoms], dtype=float)
    if sizes.max() >= 1.5 * sizes.min():
        total, each = (_misfit(matrix, energies) for matrix in (counts, counts / sizes[:, None]))
        if total > max(3 * each, 1e-3 * np.linalg.norm(energies)):
            raise CryinGANError(
                f"{name}: energies look like energies per atom, as they do not grow with the number of atoms "
                f"({sizes.min()} to {sizes.max()}); total energies (eV) are needed"
            )
    if stresses is None:
        return None
    median = float(np.median(np.abs(stresses).max(axis=(1, 2)))) * EV_PER_CUBIC_ANGSTROM
    if median <= SUSPECT_STRESS:
        return None
    return f"{name}: stresses are about {median:,.0f} GPa; are they in eV/Angstrom^3? (1 eV/Angstrom^3 is 160.2 GPa)"


def _misfit(matrix: np.ndarray, energies: np.ndarray) -> float:
    """Norm of what a least-squares fit of energies per element leaves."""
    return float(np.linalg.norm(matrix @ np.linalg.lstsq(matrix, energies, rcond=None)[0] - energies))
