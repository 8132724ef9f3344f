"""OUTCAR and vasprun.xml: ASE reads them, and says nothing of a last step that was cut off."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryingan.errors import CryinGANError
from cryingan.storage.text import open_text
from cryingan.structures.frames import RawFrame

LAST_OF_STEP = "FREE ENERGIE OF THE ION-ELECTRON SYSTEM"  # of OUTCAR; the energies stand in the four lines behind it
ENERGIES = 4
IBRION = re.compile(r'\bIBRION(?:">|\s*=)\s*(-?\d+)')
RELAXATION = "step_of_relaxation"
"""Key of `RawFrame.info` where a file holds several steps of a relaxation."""


def outcar_steps(lines: Iterable[str]) -> tuple[int, bool]:
    """Number of whole ionic steps of an OUTCAR, and whether one more was begun."""
    whole, begun, missing = 0, False, 0
    for line in lines:
        if missing:
            missing -= 1
            whole, begun = (whole, True) if missing else (whole + 1, False)
        elif LAST_OF_STEP in line:
            missing = ENERGIES
        elif " Iteration " in line:
            begun = True
    return whole, begun or missing > 0


def vasprun_steps(lines: Iterable[str]) -> tuple[int, bool]:
    """Number of whole ionic steps of a vasprun.xml, and whether one more was begun."""
    whole = begun = 0
    for line in lines:
        begun += line.count("<calculation>")
        whole += line.count("</calculation>")
    return whole, begun > whole


def is_relaxation(lines: Iterable[str]) -> bool:
    """Whether the first IBRION of an OUTCAR or vasprun.xml is that of a relaxation, 1 to 3."""
    found = (match for line in lines if "IBRION" in line and (match := IBRION.search(line)))
    return (first := next(found, None)) is not None and first[1] in "123"


STEPS = {"vasp-out": outcar_steps, "vasp-xml": vasprun_steps}


def whole_steps(path: Path, file_format: str, frames: Iterator[RawFrame]) -> Iterator[RawFrame]:
    """Pass on the frames of whole ionic steps, those of a relaxation marked, and name a step that was begun.

    Args:
        path: the file.
        file_format: vasp-out or vasp-xml.
        frames: what ASE reads of it.
    """
    with open_text(path) as (file, _):
        whole, begun = STEPS[file_format](file)
    with open_text(path) as (file, _):
        marks = {RELAXATION: True} if whole > 1 and is_relaxation(file) else {}
    if whole or not begun:
        for frame in itertools.islice(frames, whole or None):
            yield frame._replace(info={**frame.info, **marks})
    if begun:
        where = f"{path}, frame {whole + 1}"
        yield RawFrame(CryinGANError(f"{where} ends early: its ionic step was not finished"), where, 1.0, {})
