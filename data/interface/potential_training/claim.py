"""What a training began with: another one must not go on in its folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cryingan.errors import CryinGANError
from cryingan.replace import file_hash, replace_file
from data.interface.potential_training.frames import LabelledFrames, extensions, split
from data.interface.potential_training.settings import Settings

MANIFEST = "training.json"


def claim(work: Path, settings: Settings, frames: LabelledFrames) -> dict[str, list[str]]:
    """The structures of each set with which the training in a folder began, or begins now.

    They stay the same however many structures there are by now.

    Raises:
        CryinGANError: the folder holds another training, a structure is gone, or there are too few.
    """
    keys = ("seed", "validation", "test", "structure_key", "model", "weights")
    decides = {key: getattr(settings, key) for key in keys}
    decides["extensions"] = [folder.name for folder in extensions(settings.build_folder)] if settings.system else []
    decides["start"] = file_hash(Path(settings.start) / "state.pt") if settings.start else None
    path = work / MANIFEST
    if not path.exists():
        sets = split(frames, settings.validation, settings.test, settings.seed)
        content = {"labels": dict(frames.source), "settings": decides, "sets": sets}
        with replace_file(path) as file:
            file.write(json.dumps(content, indent=1).encode())
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
