"""CIF files, one frame for each block of data that holds a crystal: read by ASE, by pymatgen where ASE fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from cryingan.errors import CryinGANError
from cryingan.storage.text import in_one_line, open_text
from cryingan.structures.checks import partly_occupied
from cryingan.structures.frames import RawFrame

if TYPE_CHECKING:
    from ase import Atoms
    from ase.io.cif import CIFBlock

KEPT = re.compile(
    r"^\s*(loop_\s+)?(data_|_cell|_atom_site(?!_aniso)|_symmetry|_space_group)", re.MULTILINE | re.IGNORECASE
)
OPERATIONS = (
    "_space_group_symop_operation_xyz",
    "_space_group_symop.operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
)
FORMULA = re.compile(r"^\s*_chemical_formula_sum\s+(['\"]?)([A-Za-z0-9. ]+)\1\s*$", re.MULTILINE | re.IGNORECASE)
NAME = re.compile(r"^\s*(_\S+)", re.MULTILINE)
CRYSTAL = re.compile(r"^\s*(_cell[_.]length_a|_atom_site[_.])", re.MULTILINE | re.IGNORECASE)


def iterate_cif(path: Path) -> Iterator[RawFrame]:
    """Read the crystals of a CIF file; blocks without cell and atoms, such as those of a publication, are none.

    Raises:
        CryinGANError: the file cannot be read, or text stands before its first block.
    """
    with open_text(path) as (file, _):
        text = file.read()
    blocks = [block for block in data_blocks(text) if CRYSTAL.search(block)]
    if text.strip() and not blocks:
        raise CryinGANError(f"{path}: no block of data holds a crystal (read as CIF)")
    for number, block in enumerate(blocks, start=1):
        where = f"{path}, frame {number}"
        try:
            outcome = read_block(block)
            check_end(block, outcome)
        except CryinGANError as error:
            outcome = CryinGANError(f"{where}: {error}")
        except Exception as error:  # ASE and pymatgen raise whatever the text leads them to
            what = f"unknown element or item {error}" if isinstance(error, KeyError) else in_one_line(error)
            outcome = CryinGANError(f"{where}: {what} (read as CIF)")
        yield RawFrame(outcome, where, number / len(blocks), {})


def data_blocks(text: str) -> list[str]:
    """The blocks of a CIF file, each from its line `data_NAME` on; such a line within a text field begins none."""
    blocks: list[list[str]] = []
    in_field = False
    for line in text.splitlines(keepends=True):
        if line.startswith(";"):
            in_field = not in_field
        if not in_field and line.lstrip().lower().startswith("data_"):
            blocks.append([])
        if blocks:
            blocks[-1].append(line)
    return ["".join(block) for block in blocks]


def read_block(text: str) -> Atoms:
    """The unit cell of a block.

    Raises:
        CryinGANError: cell or atoms are missing, or sites are partly occupied.
        Exception: of ASE, where neither ASE nor pymatgen can read it.
    """
    try:
        return read_by_ase(text)
    except CryinGANError:
        raise
    except Exception as error:
        for read in (read_by_ase, read_by_pymatgen):
            try:
                return read(crystal_only(text))
            except CryinGANError:
                raise
            except Exception:
                continue
        raise error from None


def check_end(text: str, atoms: Atoms) -> None:
    """Refuse a block that ends with its sites and lacks some of its formula: one cut between two rows reads well.

    Raises:
        CryinGANError: names both formulae.
    """
    from pymatgen.core import Composition

    given, names = FORMULA.search(text), NAME.findall(text)
    if not given or not names[-1].lower().startswith(("_atom_site_", "_atom_site.")) or partly_occupied(atoms):
        return
    found = atoms.symbols.formula.format("hill")
    try:
        promised = Composition(re.sub(r"[DT](?![a-z])", "H", given[2]))  # ASE reads deuterium as H
        same = Composition(found).fractional_composition.almost_equals(promised.fractional_composition)
    except (ValueError, KeyError):  # no formula
        return
    if not same:
        raise CryinGANError(
            f"{found} found, but _chemical_formula_sum is {given[2].strip()}: is the file cut off? (read as CIF)"
        )


def crystal_only(text: str) -> str:
    """A block without the items and loops that say nothing of cell, symmetry and sites, such as authors' addresses."""
    sections: list[list[str]] = []
    in_field = heading = False
    for line in text.splitlines(keepends=True):
        word = line.split()[0].lower() if line.strip() and not in_field else ""
        begins = word.startswith(("loop_", "data_")) or (word.startswith("_") and not heading)
        if line.startswith(";"):
            in_field, begins = not in_field, False
        if begins or not sections:
            sections.append([])
        sections[-1].append(line)
        if word.startswith("loop_"):
            heading = True
        elif word and not word.startswith(("_", "#")):
            heading = False
    return "".join(line for section in sections if KEPT.search(" ".join(section)) for line in section)


def read_by_ase(text: str) -> Atoms:
    """The unit cell of a block as ASE reads it."""
    from ase.io.cif import parse_cif

    [block] = parse_cif(StringIO(text))
    if block.get_cell().rank < 3 or not block.has_structure():
        raise CryinGANError("it needs a cell and the positions of its atoms (read as CIF)")
    return whole_cell(block)


def whole_cell(block: CIFBlock) -> Atoms:
    """All atoms of a unit cell; those of P1 as they stand, because ASE merges sites that lie close together."""
    if not is_p1(block):
        return block.get_atoms()
    atoms = block.get_unsymmetrized_structure()
    atoms.pbc = True
    occupancies = block["_atom_site_occupancy"] if "_atom_site_occupancy" in block else [1] * len(atoms)
    sites = zip(atoms.symbols, occupancies, strict=True)
    atoms.info["occupancy"] = {
        number: {symbol: occupancy}
        for number, (symbol, occupancy) in enumerate(sites, start=1)
        if isinstance(occupancy, int | float)
    }
    return atoms


def is_p1(block: CIFBlock) -> bool:
    """Whether a block has no symmetry but the identity."""
    given = next((block[name] for name in OPERATIONS if name in block), None)
    operations = [given] if isinstance(given, str) else given
    if operations:
        return [re.sub(r"[\s+'\"]", "", str(one)).lower() for one in operations] == ["x,y,z"]
    return block.get_spacegroup(True).no == 1


def read_by_pymatgen(text: str) -> Atoms:
    """The unit cell of a block as pymatgen reads it, which knows more of what may stand in a CIF.

    Raises:
        CryinGANError: sites are partly occupied.
        Exception: pymatgen cannot read it.
    """
    from pymatgen.io.cif import CifParser

    [structure] = CifParser(StringIO(text), occupancy_tolerance=1).parse_structures(primitive=False)
    for number, site in enumerate(structure, start=1):
        if not site.is_ordered:
            raise CryinGANError(f"site {number}: partly occupied by {site.species_string}; atoms must be whole")
    return structure.to_ase_atoms(msonable=False)
