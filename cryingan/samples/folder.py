"""The folder of one set of samples that are relaxed: what lies there, who works there, and what is set aside."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.relaxation.journal import MANIFEST
from cryingan.storage.atomic import make_folder, replace_file
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import extxyz_frames, read_structures
from cryingan.structures.identity import same_structures

log = logging.getLogger(__name__)

SAMPLES, REPAIRED, RELAXED, SUMMARY = "samples.extxyz", "repaired.extxyz", "relaxed.extxyz", "summary.json"


def read_summary(folder: str | Path) -> dict[str, Any] | None:
    """What summary.json says of a folder whose samples have all been relaxed; None before that."""
    path = Path(folder) / SUMMARY
    return json.loads(path.read_bytes()) if path.exists() else None


def store_samples(samples: Crystals, folder: str | Path) -> None:
    """Write samples.extxyz into a folder for `SampleRelaxer`, unless they are there already.

    Raises:
        OtherResultsError: the folder holds what came of other samples.
        CryinGANError: it cannot be written.
    """
    if holds(samples, folder):
        return
    path = make_folder(folder) / SAMPLES
    if (path.parent / MANIFEST).exists():
        raise OtherResultsError(f"{folder} holds relaxations of other samples: give an empty folder")
    with replace_file(path) as file:
        file.writelines(extxyz_frames(samples))


def holds(samples: Crystals, folder: str | Path) -> bool:
    """Whether samples.extxyz of a folder has these samples, apart from what rounding does to them."""
    path = Path(folder) / SAMPLES
    if not path.exists():
        return False
    if path.read_bytes() == b"".join(extxyz_frames(samples)):
        return True
    try:
        return same_structures(read_structures(path, closest=0, not_finite=True), samples)
    except CryinGANError as error:  # it is not ours, or no longer whole
        log.info("%s is not used: %s", path, error)
        return False


def numbered(path: Path) -> Path:
    """The first of PATH.1, PATH.2 ... that is free."""
    number = 1
    while (free := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return free


def set_results_aside(folder: Path) -> Path:
    """Move everything but the samples into FOLDER.1 or the next free number, and copy them there; that folder.

    A kill in the middle leaves results that do not fit, which are set aside in their turn.
    """
    aside = make_folder(numbered(folder))
    try:
        shutil.copyfile(folder / SAMPLES, aside / SAMPLES)
        for path in folder.iterdir():
            if path.name not in (SAMPLES, ".lock"):
                path.rename(aside / path.name)
    except OSError as error:
        raise CryinGANError(f"{folder} cannot be moved to {aside}: {error.strerror or error}") from error
    return aside
