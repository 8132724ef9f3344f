"""Settings of the benchmarks: schemas of the config group `benchmark`, and fields of the benchmarks' classes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BenchmarkSettings:
    """Settings of every benchmark.

    Attributes:
        kind: name of the benchmark.
        compatible: compute as the published code does where that gives another number.
    """

    kind: str
    compatible: bool = False


@dataclass(frozen=True)
class InterfaceSettings(BenchmarkSettings):
    """Settings of the interface benchmark.

    Attributes:
        species: cations whose motifs are compared.
        anions: their fractions among the neighbours are features; motifs are split by the number of the first.
        oxidation_states: charge of every element of the structures.
        region: lower and upper edge of the interface region along the third lattice vector, in fractions of it. A
            lower edge above the upper one takes the region through the cell boundary. None takes that of the card
            beside the reference, if it has one; [] scores no region.
    """

    kind: str = "interface"
    species: list[str] = field(default_factory=lambda: ["Li", "Co", "Sc"])
    anions: list[str] = field(default_factory=lambda: ["Cl", "O"])
    oxidation_states: dict[str, float] = field(default_factory=lambda: {"Li": 1, "Co": 3, "Sc": 3, "Cl": -1, "O": -2})
    region: list[float] | None = None


@dataclass(frozen=True)
class SiliconSettings(BenchmarkSettings):
    """Settings of the amorphous silicon benchmark."""

    kind: str = "silicon"


@dataclass(frozen=True)
class AlloySettings(BenchmarkSettings):
    """Settings of the alloy benchmark.

    Attributes:
        mapping: how atoms are mapped to sites: `cryingan`, `diffcsp`, `cdvae` or `auto`, see
            `cryingan.metrics.alloy.mapping.map_to_lattice`.
    """

    kind: str = "alloy"
    mapping: str = "auto"


BENCHMARKS = {"interface": InterfaceSettings, "silicon": SiliconSettings, "alloy": AlloySettings}
