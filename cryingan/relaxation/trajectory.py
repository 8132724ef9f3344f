"""A few frames of a relaxation, spaced in energy, as training data for a potential."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import replace_file

TRAJECTORIES = "frames"  # folder inside that of the relaxations
LEAST = 1e-3  # eV/atom above the last frame, where the spacing in energy ends


class TrajectoryFrames(NamedTuple):
    """Frames of one relaxation in their order, with the first and the last; arrays are float32 unless stated.

    Attributes:
        steps: steps of the optimizer before each frame, int, shape (frames,).
        energies: total, eV, float64, shape (frames,).
        positions: Cartesian, not wrapped, Angstrom, shape (frames, atoms, 3).
        forces: eV/Angstrom, shape (frames, atoms, 3).
    """

    steps: np.ndarray
    energies: np.ndarray
    positions: np.ndarray
    forces: np.ndarray


class Trajectory:
    """Collects the frames of a relaxation.

    Args:
        count: frames to keep in the end; 0 keeps none.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.frames: list[tuple] = []

    def record(self, step: int, energy: float, positions: np.ndarray, forces: np.ndarray) -> None:
        """Add a frame."""
        if self.count:
            self.frames.append((step, energy, positions.astype(np.float32), forces.astype(np.float32)))

    def thinned(self) -> TrajectoryFrames | None:
        """At most `count` frames; None if none are kept.

        Their energies above the lowest one are spaced by a constant factor, so that both the steep beginning and the
        flat end are covered.
        """
        if not self.frames:
            return None
        steps, energies, positions, forces = map(np.array, zip(*self.frames, strict=True))
        above = energies - energies.min()
        least = LEAST * positions.shape[1]
        wanted = np.geomspace(max(above[0], least), least, max(self.count - 1, 1))
        nearest = [int(np.abs(np.log(np.maximum(above, least) / value)).argmin()) for value in wanted]
        chosen = np.unique([0, *nearest, len(energies) - 1])
        return TrajectoryFrames(steps[chosen], energies[chosen], positions[chosen], forces[chosen])


def write_frames(folder: Path, sample: int, frames: TrajectoryFrames) -> None:
    """Write the frames of one sample as frames/NUMBER.npz, whole or not at all."""
    (folder / TRAJECTORIES).mkdir(exist_ok=True)
    with replace_file(folder / TRAJECTORIES / f"{sample:06d}.npz") as file:
        np.savez_compressed(file, **frames._asdict())


def read_trajectories(folder: str | Path) -> Iterator[tuple[int, TrajectoryFrames]]:
    """Read sample number and frames of every sample of a folder, in the order of the numbers.

    Raises:
        CryinGANError: a file cannot be read.
    """
    for path in sorted((Path(folder) / TRAJECTORIES).glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as saved:
                yield int(path.stem), TrajectoryFrames(**{name: saved[name] for name in TrajectoryFrames._fields})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CryinGANError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
