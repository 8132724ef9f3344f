"""Settings of DiffCSP; their defaults are those of Dismai-Bench."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryingan.errors import CryinGANError
from cryingan.models.denoiser_settings import DenoiserSettings
from cryingan.models.diffcsp.sampler import CORRECTED


@dataclass
class NetworkSettings(DenoiserSettings):
    """A network of pairs of atoms and its training.

    Attributes:
        hidden: width of all layers, even.
        layers: message layers.
        frequencies: waves per axis in the features of a pair.
        neighbors: nearest atoms that send messages to an atom; 0: all atoms.
        grid: points of the tables from which pair features are interpolated; 0: the direct form, exact and slower.

    Raises:
        CryinGANError: a value is out of range.
    """

    hidden: int = 256
    layers: int = 4
    frequencies: int = 128
    neighbors: int = 0
    grid: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("layers", "frequencies"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("neighbors", "grid"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        self._require("hidden", self.hidden >= 4 and self.hidden % 2 == 0, "even and at least 4")


@dataclass
class DiffCSPSettings(NetworkSettings):
    """Settings of `cryingan.models.diffcsp.diffcsp.DiffCSP`, besides those of the network.

    Attributes:
        sigma_min: noise of the lowest level, in fractions of the lattice vectors; one for all axes, or three.
        sigma_max: noise of the highest level, likewise; 0.05 in the paper for silicon, 0.1 otherwise.
        steps: levels of the 1000 that a sampler visits.
        step_size: of the sampler's corrector where the noise is 0.005, whatever `sigma_min` is; less than 5e-5, which
            is twice its square, as steps overshoot otherwise; 0: no corrector.
        cell_term: give each pair the metric of the cell in Angstrom^2, as upstream does.
        cell_head: have the head that predicts a cell, which no loss trains here.
        species_rows: rows of the embedding, the atomic number choosing one; 0: a row for each species of the set.

    Raises:
        CryinGANError: a value is out of range.
    """

    sigma_min: list[float] = field(default_factory=lambda: [0.005])
    sigma_max: list[float] = field(default_factory=lambda: [0.1])
    steps: int = 1000
    step_size: float = 1e-5
    cell_term: bool = False
    cell_head: bool = False
    species_rows: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("steps", 1 <= self.steps <= 1000, "between 1 and 1000")
        overshoot = 2 * CORRECTED**2
        self._require("step_size", 0 <= self.step_size < overshoot, f"at least 0 and less than {overshoot:g}")
        for name in ("sigma_min", "sigma_max"):
            values = getattr(self, name)
            self._require(
                name, len(values) in (1, 3) and all(0 < v <= 1 for v in values), "one number or three, up to 1"
            )
        smallest, largest = (values * (3 // len(values)) for values in (self.sigma_min, self.sigma_max))
        if any(low >= high for low, high in zip(smallest, largest, strict=True)):
            raise CryinGANError(f"model.sigma_min={self.sigma_min} must be less than model.sigma_max={self.sigma_max}")
