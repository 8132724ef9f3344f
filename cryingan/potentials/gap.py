"""Gaussian approximation potentials (GAP), computed by the package `quippy-ase`, which is the extra `gap`."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cryingan.errors import CryinGANError
from cryingan.potentials.ase_calculator import CalculatorPotential
from cryingan.potentials.card import CARD_FILE, PotentialCard, parse_references, saved_card
from cryingan.potentials.packages import lacking
from cryingan.potentials.settings import GapSettings
from cryingan.storage.hashes import file_hash

ATOMIC_NUMBERS = re.compile(r"\b(?:species_)?Z\d*\s*=\s*(?:\{[{\s]*([\d\s,]+)\}|(\d+))")
MISPLACED = "rename it NAME.card.json if it belongs to NAME.xml"


class GapPotential(CalculatorPotential):
    """A GAP in the files of `gap_fit`: an XML file and, beside it, the sparse points that it names, if any.

    What is computed follows from the file: where it holds a sum of potentials, such as the repulsion Glue and a GAP,
    all of them. The hash covers the XML file and the files of sparse points. The reference energies are those of the
    settings, or else those of a card beside NAME.xml: `NAME.card.json`, or `card.json` where there is none.

    Args:
        settings: the file.

    Raises:
        CryinGANError: there is no path, a file is missing or damaged, the card is of another GAP, or the package is not
            installed.
    """

    def __init__(self, settings: GapSettings) -> None:
        if settings.path is None:
            raise CryinGANError("potential gap needs a path: the XML file of a GAP")
        path = Path(settings.path)
        files = read_gap(path)
        name, found = _card_beside(path, files.hash) or (path.stem, ())
        references = parse_references(settings.references or found)
        try:
            from quippy.potential import Potential as QuippyPotential
        except ImportError as error:
            raise lacking("quippy-ase", error) from error
        try:
            calculator = QuippyPotential(f'Potential xml_label="{files.label}"', param_filename=str(path))
        except (RuntimeError, ValueError) as error:
            raise CryinGANError(f"{path} cannot be loaded as a GAP: {' '.join(str(error).split())}") from error
        card = PotentialCard(name, files.hash, files.elements, references)
        super().__init__(card, calculator, "cpu", settings.atoms_per_batch)


@dataclass(frozen=True)
class GapFiles:
    """What the files of a GAP say of it.

    Attributes:
        label: of the potential in the XML file.
        elements: chemical symbols in its descriptors, by atomic number.
        hash: SHA-256 of the XML file and of the files of sparse points.
    """

    label: str
    elements: tuple[str, ...]
    hash: str


def read_gap(path: Path) -> GapFiles:
    """Read what is known of a GAP without computing anything.

    Faults are found here since some of them end the process in the package.

    Args:
        path: the XML file.

    Raises:
        CryinGANError: the file is no GAP, or a file of sparse points is missing or belongs to another one.
    """
    whole = hashlib.sha256(file_hash(path).encode())
    try:
        root = ElementTree.parse(path).getroot()
        label = root.find("Potential").attrib["label"]
        coordinates = root.findall(".//gpCoordinates")
        elements = _elements([one.findtext("descriptor") or "" for one in coordinates])
        if not all(math.isfinite(float(point.attrib["alpha"])) for point in root.iterfind(".//sparseX")):
            raise ValueError("a coefficient alpha is not finite")
        if not elements:
            raise ValueError("no descriptor names an element")
    except (ElementTree.ParseError, AttributeError, LookupError, ValueError) as error:
        raise CryinGANError(f"{path} is no XML file of a GAP: {error!r}") from error
    for one in coordinates:
        if name := one.get("sparseX_filename"):
            whole.update(_points_hash(path, name, one.get("sparseX_md5sum")).encode())
    return GapFiles(label, elements, whole.hexdigest())


def _elements(descriptors: list[str]) -> tuple[str, ...]:
    """The chemical symbols that descriptors name; the number 0 stands for any atom and names none."""
    from ase.data import chemical_symbols

    found = (several or one for text in descriptors for several, one in ATOMIC_NUMBERS.findall(text))
    numbers = {int(word) for text in found for word in re.findall(r"\d+", text)} - {0}
    return tuple(chemical_symbols[number] for number in sorted(numbers))


def _card_beside(path: Path, weights: str) -> tuple[str, Sequence[Mapping]] | None:
    """What `cryingan.potentials.card.saved_card` finds in the card of an XML file, of which a folder may hold many."""
    own = path.with_name(f"{path.stem}.card.json")
    if own.is_file():
        return saved_card(own, weights)
    return saved_card(path.with_name(CARD_FILE), weights, MISPLACED)


def _points_hash(path: Path, name: str, md5: str | None) -> str:
    """SHA-256 of a file of sparse points."""
    points = path.parent / name
    if not points.is_file():
        raise CryinGANError(f"{path} needs the sparse points in {name}, which has to lie beside it")
    if md5 and hashlib.md5(points.read_bytes(), usedforsecurity=False).hexdigest() != md5:
        raise CryinGANError(f"{points} holds other sparse points than those of {path.name}")
    return file_hash(points)
