"""How atoms look in every picture, in PNG files and in the viewer of a report: colours, radii and bonds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

from cryingan.structures.contacts import ANIONS

if TYPE_CHECKING:
    from ase import Atoms

IONIC = 1.0  # difference of electronegativities (Pauling) from which on a pair of species counts as ions
LONGEST_BOND = 1.15  # of the sum of covalent radii
DRAWN = 0.4  # of the radius of an atom or ion, which leaves bonds visible
SMALLEST = 0.25  # Angstrom, drawn radius of the smallest cations
BOND = 0.09  # Angstrom, drawn radius of a bond
OUTLINE = "#222222"


@dataclass(frozen=True)
class AtomLook:
    """Colour, as in HTML, and drawn radius in Angstrom of the atoms of a species."""

    color: str
    radius: float


def atom_looks(species: Iterable[str]) -> dict[str, AtomLook]:
    """Jmol's colour and 0.4 of the radius of every species, at least 0.25 Angstrom.

    Among ions (`charge_signs`) the radius is Shannon's crystal radius, averaged over the cationic or anionic oxidation
    states of the element (R. D. Shannon, Acta Crystallographica A 32, 751 (1976), as pymatgen has it), so that anions
    are larger than most cations; of others, and where there is none, the covalent radius (ASE).

    >>> {symbol: look.radius for symbol, look in atom_looks(["Li", "O"]).items()}
    {'Li': 0.36, 'O': 0.504}
    >>> atom_looks(["Si"])["Si"]
    AtomLook(color='#f0c8a0', radius=0.444)
    """
    from ase.data import atomic_numbers, covalent_radii
    from ase.data.colors import jmol_colors
    from matplotlib.colors import to_hex
    from pymatgen.core import Element

    signs = charge_signs(species)
    looks = {}
    for symbol, sign in signs.items():
        number, element = atomic_numbers[symbol], Element(symbol)
        ionic = {1: element.average_cationic_radius, -1: element.average_anionic_radius, 0: 0.0}[sign]
        radius = max(DRAWN * float(ionic or covalent_radii[number]), SMALLEST)
        looks[symbol] = AtomLook(to_hex(jmol_colors[number]), round(radius, 3))
    return looks


def charge_signs(species: Iterable[str]) -> dict[str, int]:
    """Whether each species is a cation, 1, or an anion, -1; all are 0 where no two species differ like ions.

    Ions differ by at least 1 in electronegativity (Pauling). Anions are the most electronegative species, and those
    that usually are (`cryingan.structures.contacts.ANIONS`).

    >>> charge_signs(["Li", "P", "S", "Cl"]), charge_signs(["Fe", "Ni"])
    ({'Li': 1, 'P': 1, 'S': -1, 'Cl': -1}, {'Fe': 0, 'Ni': 0})
    """
    from pymatgen.core import Element

    symbols = list(dict.fromkeys(species))
    known = {symbol: value for symbol in symbols if (value := Element(symbol).data.get("X"))}
    if not known or max(known.values()) - min(known.values()) < IONIC:
        return dict.fromkeys(symbols, 0)
    anions = {*ANIONS, max(known, key=known.get)}
    return {symbol: -1 if symbol in anions else int(symbol in known) for symbol in symbols}


def bond_cutoffs(species: Iterable[str]) -> dict[tuple[str, str], float]:
    """The longest bond of every pair of species that has bonds, Angstrom: 1.15 of the sum of covalent radii.

    Among ions (`charge_signs`) only cations are bonded to anions. Metals are not bonded to each other: in ionic
    crystals they are as near without a bond, and twelve bonds of every atom of an alloy would hide the atoms.

    >>> sorted(bond_cutoffs(["Li", "Cl", "O"])), bond_cutoffs(["Cr", "Fe"])
    ([('Cl', 'Li'), ('Li', 'O')], {})
    """
    from ase.data import atomic_numbers, covalent_radii
    from pymatgen.core import Element

    signs = charge_signs(species)
    pairs = [pair for pair in combinations_with_replacement(sorted(signs), 2) if signs[pair[0]] == -signs[pair[1]]]
    pairs = [pair for pair in pairs if not all(Element(symbol).is_metal for symbol in pair)]
    radius = {symbol: covalent_radii[atomic_numbers[symbol]] for symbol in signs}
    return {pair: float(LONGEST_BOND * (radius[pair[0]] + radius[pair[1]])) for pair in pairs}


def bonds(atoms: Atoms, cutoffs: dict[tuple[str, str], float]) -> tuple[np.ndarray, np.ndarray]:
    """Bonds of wrapped atoms of a periodic cell, each once, also those through the faces of the cell.

    Returns:
        The two atoms, shape (bonds, 2), and the image of the second one, in cells, shape (bonds, 3).
    """
    from ase.neighborlist import neighbor_list

    if not cutoffs:
        return np.empty((0, 2), dtype=int), np.empty((0, 3), dtype=int)
    first, second, image = neighbor_list("ijS", atoms, cutoffs, self_interaction=False)
    both = np.column_stack([first, second, image])
    once = [(i, *cell) < (j, *(-part for part in cell)) for i, j, *cell in both.tolist()]
    return both[once, :2], both[once, 2:]
