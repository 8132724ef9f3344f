"""Polar angles and azimuths of the neighbours of many sites, each neighbour in turn at the north pole."""

from __future__ import annotations

from functools import cached_property

import numpy as np

# A sine below this is rounding: such neighbours lie on the axis and have no azimuth.
ON_AXIS = 1e-12


class PolarAngles:
    """Angles between neighbours in unit directions (sites, CN, 3); j is at the north pole, k on the prime meridian."""

    def __init__(self, directions: np.ndarray) -> None:
        self.cosines = np.clip(np.einsum("sjx,skx->sjk", directions, directions), -1, 1)
        self.polar = np.arccos(self.cosines)
        """Angle between j and another neighbour, radians, shape (sites, j, other)."""
        self.directions = directions
        self.others = ~np.eye(directions.shape[1], dtype=bool)
        """Whether j and another neighbour differ, shape (j, other)."""

    @cached_property
    def _across(self) -> tuple[np.ndarray, np.ndarray]:
        """Direction of the neighbours seen along j, (sites, j, other, 3), and whether it is defined."""
        part = self.directions[:, None] - self.cosines[..., None] * self.directions[:, :, None]
        length = np.linalg.norm(part, axis=3)
        defined = (length >= ON_AXIS) & self.others
        return part / np.where(defined, length, 1)[..., None], defined

    @cached_property
    def azimuth(self) -> np.ndarray:
        """Azimuth of m, from 0 to pi, shape (sites, j, k, m)."""
        across, _ = self._across
        return np.arccos(np.clip(np.einsum("sjkx,sjmx->sjkm", across, across), -1, 1))

    @cached_property
    def meridian(self) -> np.ndarray:
        """Whether k defines a meridian and m is another neighbour, on the axis or not, shape (sites, j, k, m)."""
        _, defined = self._across
        return defined[:, :, :, None] & self.others[:, None, :] & self.others

    @cached_property
    def both(self) -> np.ndarray:
        """Whether k defines a meridian and m has an azimuth, shape (sites, j, k, m)."""
        _, defined = self._across
        return self.meridian & defined[:, :, None]
