"""A small extended XYZ file by lines, to change and to break; and structures to write."""

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures

KEYS = 'Lattice="6.0 0.0 0.0 1.0 5.0 0.0 0.5 -1.0 7.0" Properties=species:S:1:pos:R:3 pbc="T T T"'
ATOMS = ["Li 0.1 0.2 0.3", "O 2.0 0.1 0.4", "Li 3.0 2.0 1.0", "O 1.0 3.0 5.0"]
FRAME = ["4", KEYS, *ATOMS]
MOVED = ["4", KEYS, "Li 0.2 0.2 0.3", *ATOMS[1:]]
LATTICE = "6.0 0.0 0.0 1.0 5.0 0.0 0.5 -1.0 7.0"
TRICLINIC = np.array([[6.0, 0.0, 0.0], [1.0, 5.0, 0.0], [0.5, -1.0, 7.0]])
LEFT_HANDED = TRICLINIC[[1, 0, 2]]


def text(*frames):
    return "".join(line + "\n" for frame in frames for line in frame)


def changed(frame, line, new):
    """A frame with one line (from 1) replaced, or removed for None."""
    return [*frame[: line - 1], *([] if new is None else [new]), *frame[line:]]


def keys(old, new):
    assert old in KEYS
    return changed(FRAME, 2, KEYS.replace(old, new))


def refusal(path, **options):
    """The message with which a file is refused: one line, naming the file."""
    with pytest.raises(CryinGANError) as caught:
        read_structures(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def check_refusal(path, content, message):
    """A file of this content is refused, with a message that names the file and holds `message`."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert f"{path}{' ' if message.startswith('no ') else ', '}" in refusal(path)
    assert message in refusal(path)


def scattered_crystals(cell, species, structures=3):
    """Structures whose atoms are far from each other: shifted, jittered sites of a grid."""
    rng = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(*[np.arange(3) / 3] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = np.stack([rng.permutation(grid)[: len(species)] for _ in range(structures)])
    return Crystals(sites + rng.uniform(-0.05, 0.05, sites.shape), cell, species)


def contents(path):
    """Everything below a path."""
    if path.is_dir():
        return {item.name: item.read_bytes() for item in path.iterdir()}
    return path.read_bytes() if path.exists() else None
