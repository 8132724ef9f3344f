"""JSON of pymatgen: structures alone, in lists, by name, or within computed entries; and the JSON database of ASE."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryingan.errors import CryinGANError
from cryingan.storage.text import in_one_line, open_text
from cryingan.structures.frames import RawFrame

if TYPE_CHECKING:
    from ase import Atoms


def load_json(path: Path) -> Any:
    """The content of a JSON file, compressed or not.

    Raises:
        CryinGANError: it is no JSON.
    """
    try:
        with open_text(path) as (file, _):
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise CryinGANError(f"{path} cannot be read: {in_one_line(error)} (read as JSON)") from error


def is_ase_database(content: Any) -> bool:
    """Whether the content of a JSON file is a database of ASE."""
    return isinstance(content, dict) and {"ids", "nextid"} <= set(content)


def iterate_pymatgen(path: Path, content: Any) -> Iterator[RawFrame]:
    """Read structures as pymatgen and monty write them, in the order of the file.

    Args:
        path: the file.
        content: its content.

    Raises:
        CryinGANError: something else than structures stands in it.
    """
    found = list(structure_values(content, f"{path}, ", "the top"))
    for number, value in enumerate(found, start=1):
        where = f"{path}, frame {number}"
        try:
            outcome = to_atoms(value)
        except Exception as error:  # pymatgen raises whatever the values lead it to
            outcome = CryinGANError(f"{where}: {in_one_line(error)} (read as pymatgen's JSON)")
        yield RawFrame(outcome, where, number / len(found), {})


def structure_values(value: Any, path: str, place: str) -> Iterator[dict[str, Any]]:
    """The values that hold a structure each.

    Args:
        value: content of a JSON file, or a part of it.
        path: the file, for messages.
        place: where in the file the value stands, for messages.
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):  # a structure as text, as `to_json` gives it
        value = json.loads(value)
    if isinstance(value, list):
        for number, item in enumerate(value, start=1):
            yield from structure_values(item, path, f"entry {number}")
    elif isinstance(value, dict) and "lattice" in value and "sites" in value:
        yield value
    elif isinstance(value, dict) and isinstance(value.get("structure"), dict):
        yield from structure_values(value["structure"], path, f"structure of {place}")
    elif isinstance(value, dict) and value and "@class" not in value:
        for name, item in value.items():
            yield from structure_values(item, path, f"{name!r}")
    else:
        kind = value.get("@class", "{}") if isinstance(value, dict) else repr(value)[:40]
        raise CryinGANError(f"{path}{place}: {kind} is no Structure of pymatgen")


def to_atoms(value: dict[str, Any]) -> Atoms:
    """One structure of pymatgen as atoms of ASE."""
    from pymatgen.core import Structure

    structure = Structure.from_dict(value)
    for number, site in enumerate(structure, start=1):
        if not site.is_ordered:
            raise CryinGANError(f"site {number}: partly occupied by {site.species_string}; atoms must be whole")
    return structure.to_ase_atoms(msonable=False)
