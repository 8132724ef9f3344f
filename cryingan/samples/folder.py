"""The folder of one set of samples that are relaxed: its files, how it ended, and what is set aside."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryingan import __version__
from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.relaxation.journal import RELAX_MANIFEST
from cryingan.storage.atomic import make_folder, replace_file, write_json
from cryingan.storage.fraction_keys import current_key
from cryingan.storage.hashes import file_hash
from cryingan.storage.locks import LOCK
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import extxyz_frames, read_structures, write_structures
from cryingan.structures.sources import STAGES

log = logging.getLogger(__name__)

SAMPLES, REPAIRED, RELAXED = STAGES
ENERGIES, FIGURE, PICTURES, MOLECULES = "energies.csv", "energies.png", "pictures", "molecules"
REFERENCE = "reference_energies.csv"  # of training structures and random ones, as they are drawn in the figure
SAMPLE_MANIFEST = "manifest.json"  # where samples come from, when sample.py has written them
UNFINISHED = "unfinished_samples"  # those of a killed sample.py, which the same command takes
SCORES = "evaluation_*/metrics.json"  # of the samples, by the benchmarks of evaluate=...
RELAX_SUMMARY = "relaxed.json"  # the results in numbers; written last
EARLIER_SUMMARY = "summary.json"  # the same in folders of earlier versions
ERROR = "error.txt"  # why relaxing was given up: one line, and the traceback of an unexpected error
WORKER_PLAN, WORKER_LOG = "plan.json", "worker.log"  # of the background process, in the folder above


def read_summary(folder: str | Path) -> dict[str, Any] | None:
    """The content of relaxed.json, with the keys of today; None where not all samples have been relaxed."""
    for name in (RELAX_SUMMARY, EARLIER_SUMMARY):
        if (path := Path(folder) / name).exists():
            return json.loads(path.read_bytes(), object_hook=_with_current_keys)
    return None


def _with_current_keys(content: dict[str, Any]) -> dict[str, Any]:
    return {current_key(name): value for name, value in content.items()}


def read_error(folder: Path) -> str | None:
    """In one line why relaxing the samples of a folder was given up; None where it was not."""
    path = folder / ERROR
    return path.read_text().partition("\n")[0] if path.exists() else None


def write_error(folder: Path, text: str) -> None:
    """Write error.txt into a folder, where the disk takes it."""
    with contextlib.suppress(CryinGANError), replace_file(folder / ERROR) as file:
        file.write(text.encode())


def has_ended(folder: Path) -> bool:
    """Whether the samples of a folder have been relaxed, or this was given up."""
    return read_summary(folder) is not None or (folder / ERROR).exists()


def clear_outcome(folder: Path) -> None:
    """Remove what says how relaxing the samples of a folder ended."""
    for name in (RELAX_SUMMARY, EARLIER_SUMMARY, ERROR):
        (folder / name).unlink(missing_ok=True)


def store_samples(samples: Crystals, folder: str | Path) -> None:
    """Write samples.extxyz into a folder for `SampleRelaxer`, unless they are there already, without a manifest.

    Raises:
        OtherResultsError: the folder holds results of other samples.
        CryinGANError: it cannot be written.
    """
    if holds(samples, folder):
        return
    _require_no_results(Path(folder))
    path = make_folder(folder) / SAMPLES
    (path.parent / SAMPLE_MANIFEST).unlink(missing_ok=True)  # of other samples
    with replace_file(path) as file:
        file.writelines(extxyz_frames(samples))


def _require_no_results(folder: Path) -> None:
    """Refuse a folder with relaxations or scores, which are of the samples that are there."""
    for found, what in ((RELAX_MANIFEST, "relaxations"), (SCORES, "scores")):
        if any(folder.glob(found)):
            raise OtherResultsError(f"{folder} holds {what} of other samples: give an empty folder")


def require_same_samples(folder: str | Path, n: int, origin: Mapping[str, Any]) -> None:
    """Refuse samples, best before they are drawn, where a folder holds results of others.

    Args:
        folder: the folder.
        n: how many they are.
        origin: of the samples, as `write_samples` takes it.

    Raises:
        OtherResultsError: says what the folder holds.
    """
    found = read_manifest(folder) or {"n": None}
    now = {"n": n, "seed": origin["seed"], "source_sha256": _hash_of(origin)}
    settings = json.loads(json.dumps(origin["settings"]))  # without tuples; earlier versions had fewer
    before = {key: found.get("settings", {}).get(key, value) for key, value in settings.items()}
    if before != settings or any(found.get(key) != value for key, value in now.items()):
        _require_no_results(Path(folder))


def _hash_of(origin: Mapping[str, Any]) -> str:
    return origin.get("source_sha256") or file_hash(origin["source"])


def write_samples(
    samples: Crystals, folder: str | Path, form: str, origin: Mapping[str, Any], relaxed: bool = False
) -> Path:
    """Write samples, and a manifest that says where they come from.

    Args:
        samples: the samples.
        folder: where.
        form: `extxyz`, `cif` or `poscar`.
        origin: `seed`, `source` (the file of the model) and `settings` (of the model); `source_sha256` where the
            source may be several files; `rejected`, where a model refuses candidates.
        relaxed: whether they will be relaxed there; then samples.extxyz is written, too, as `store_samples` does.

    Returns:
        The file, or the folder of files, with the samples.

    Raises:
        OtherResultsError: the folder holds results of other samples.
        CryinGANError: it cannot be written.
    """
    require_same_samples(folder, len(samples), origin)
    folder = make_folder(folder)
    path = folder / (SAMPLES if form == "extxyz" else form)
    manifest = {
        "structures": path.name,
        "n": len(samples),
        "seed": origin["seed"],
        "format": form,
        "source": Path(origin["source"]).name,
        "source_sha256": _hash_of(origin),
        "cryingan": __version__,
        "settings": origin["settings"],
    }
    if (rejected := origin.get("rejected")) is not None:
        manifest["rejected"] = rejected
    if relaxed:
        store_samples(samples, folder)
    write_structures(samples, path, form)
    write_json(folder / SAMPLE_MANIFEST, manifest)
    return path


def read_manifest(folder: str | Path) -> dict[str, Any] | None:
    """The content of manifest.json; None where no samples have been written.

    Raises:
        CryinGANError: it is no manifest of samples.
    """
    path = Path(folder) / SAMPLE_MANIFEST
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise CryinGANError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("settings", {}), dict):
        raise CryinGANError(f"{path} is not of samples: give an empty folder")
    return found


def write_relaxed(folder: Path, form: str) -> Path | None:
    """Write the structures of relaxed.extxyz as `relaxed_cif` or `relaxed_poscar`, too, numbered as the samples.

    Returns:
        The folder of files; None where no structure could be repaired.

    Raises:
        CryinGANError: it cannot be written.
    """
    from ase.io import read

    if not (folder / RELAXED).stat().st_size:
        return None
    frames, path = read(folder / RELAXED, ":"), folder / f"relaxed_{form}"
    write_structures(Crystals.from_ase(frames), path, form, [frame.info["sample"] for frame in frames])
    return path


def holds(samples: Crystals, folder: str | Path) -> bool:
    """Whether samples.extxyz of a folder has these samples, up to rounding."""
    path = Path(folder) / SAMPLES
    if not path.exists():
        return False
    if path.read_bytes() == b"".join(extxyz_frames(samples)):
        return True
    try:
        return read_structures(path, closest=0, not_finite=True).same_as(samples)
    except CryinGANError as error:  # it is not ours, or no longer whole
        log.info("%s is not used: %s", path, error)
        return False


def numbered(path: Path) -> Path:
    """The first of PATH.1, PATH.2 ... that does not exist."""
    names = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
    return next(free for free in names if not free.exists())


def set_results_aside(folder: Path) -> Path:
    """Move everything but the samples, which are copied, into FOLDER.1 or the next free number; that folder.

    After a kill in between, the results left behind are set aside by the next call.
    """
    aside = make_folder(numbered(folder))
    try:
        shutil.copyfile(folder / SAMPLES, aside / SAMPLES)
        for path in folder.iterdir():
            if path.name not in (SAMPLES, LOCK):
                path.rename(aside / path.name)
    except OSError as error:
        raise CryinGANError(f"{folder} cannot be moved to {aside}: {error.strerror or error}") from error
    return aside
