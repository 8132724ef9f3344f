"""The settings and sets a training began with, so that no other training resumes in its folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import write_json
from cryingan.storage.hashes import file_hash
from data.interface.potential_training.frames import LabelledFrames, extensions, split
from data.interface.potential_training.settings import TrainPotentialSettings

TRAINING_MANIFEST = "training.json"
METRICS = "metrics.json"  # beside a potential


def claimed_extensions(work: Path, build: Path) -> list[str]:
    """Folders of extensions that the training in `work` began with; before it begins, all that the build has."""
    path = work / TRAINING_MANIFEST
    if path.exists():
        return json.loads(path.read_bytes())["settings"]["extensions"]
    return [folder.name for folder in extensions(build)]


def claim(
    work: Path, settings: TrainPotentialSettings, frames: LabelledFrames, extended: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Structures of each set that the training in a folder began with, or begins with now.

    The sets stay the same when structures and extensions are added later.

    Args:
        work: the folder.
        settings: settings of the training.
        frames: all frames, those of `extended` among them.
        extended: `claimed_extensions`.

    Raises:
        CryinGANError: the folder holds another training, a structure is gone, or there are too few.
    """
    require_split_of_start(settings)
    labels = ("structure_key", "energy_key", "forces_key", "stress_key")
    keys = ("seed", "validation", "test", *labels, "model", "weights")
    decides = {key: getattr(settings, key) for key in keys}
    decides["start"] = file_hash(Path(settings.start) / "state.pt") if settings.start else None
    path = work / TRAINING_MANIFEST
    if not path.exists() or not any(item.is_dir() for item in work.iterdir()):  # nothing is trained yet
        sets = split(frames, settings.validation, settings.test, settings.seed)
        began = {**decides, "extensions": list(extended)}
        content = {"labels": dict(frames.source), "settings": began, "sets": sets}
        write_json(path, content)
    found = json.loads(path.read_bytes())
    other = [key for key, value in decides.items() if found["settings"].get(key) != value]
    other += ["labels"] if found["labels"] != dict(frames.source) else []
    if other:
        raise CryinGANError(f"{work} holds a training with other {other[0]}: give an empty folder as work")
    names = set(frames.structures.tolist())
    if missing := [name for one in found["sets"].values() for name in one if name not in names]:
        raise CryinGANError(f"{work} holds a training with structure {missing[0]}, which is no longer there")
    if newer := len(names) - sum(map(len, found["sets"].values())):
        print(f"{newer} structures came after this training began and are not used", file=sys.stderr, flush=True)
    return found["sets"]


def require_split_of_start(settings: TrainPotentialSettings) -> None:
    """Refuse a split that would test a model on structures of its earlier training.

    Sets depend on the seed, the shares and the structure, so seed and shares must be those of the first training.

    Raises:
        CryinGANError: they are others.
    """
    path = Path(settings.start or "") / METRICS
    if settings.start is None or not path.is_file():
        return
    metrics = json.loads(path.read_bytes())
    if settings.system is None or Path(metrics["system"] or "").stem != settings.stem:
        return
    mine = {"seed": settings.seed, "validation": settings.validation, "test": settings.test}
    theirs = {name: metrics.get(name, value) for name, value in mine.items()}
    if mine != theirs:
        given = " ".join(f"{name}={value}" for name, value in theirs.items())
        raise CryinGANError(f"{settings.start} was trained with {given}: give the same, or tests are on what it knows")
