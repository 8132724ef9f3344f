"""Read structures of unknown origin, of which some may be broken."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.structures.checks import Frame, checked, matched
from cryingan.structures.crystals import Crystals
from cryingan.structures.extxyz import cut_extxyz, parse_extxyz, whole_comment
from cryingan.structures.files import read_structures
from cryingan.structures.formats import recognise

log = logging.getLogger(__name__)


def salvage_structures(path: str | Path) -> Crystals:
    """Read the structures of a file; a broken one keeps its place and has coordinates that are NaN.

    Broken is a frame of an extended XYZ file that cannot be read or has no sound cell, and in any format one with
    positions that are not finite. Atoms may be close. Each broken frame is named in a warning.

    Args:
        path: the file.

    Returns:
        The structures, in the atom order of the first sound one.

    Raises:
        CryinGANError: the file cannot be read at all, nothing in it is sound, or compositions or cells differ.
    """
    path = Path(path)
    if not path.is_file() or recognise(path) not in ("extxyz", "xyz"):
        return read_structures(path, closest=0, not_finite=True)
    frames = list(_frames(path))
    sound = [frame for frame, _ in frames if frame is not None]
    if not sound:
        raise CryinGANError(f"{path} holds no structure that can be read")
    nowhere = np.full((len(sound[0].numbers), 3), np.nan)
    fractional = [
        nowhere if frame is None else matched(frame, sound[0], at, sort_species=False) for frame, at in frames
    ]
    from ase.data import chemical_symbols

    return Crystals(np.stack(fractional), sound[0].cell, tuple(chemical_symbols[number] for number in sound[0].numbers))


def _frames(path: Path) -> list[tuple[Frame | None, str]]:
    """Frames, None for the broken, each with where it stands."""
    frames = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ASE's parsers; what matters is checked
        for cut in cut_extxyz(path):
            try:
                atoms = parse_extxyz(cut.lines, whole_comment(cut), cut.where, cut.line_number + 1)
                frame = checked(atoms, cut.where, closest=0, not_finite=True)
                if not np.isfinite(frame.fractional).all():
                    log.warning("%s has positions that are not finite; it counts as failed", cut.where)
            except CryinGANError as error:
                log.warning("%s; it counts as failed", error)
                frame = None
            frames.append((frame, cut.where))
    return frames
