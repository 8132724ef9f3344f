"""The Fe-Cr-Ni alloy benchmark: order on the fcc lattice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from ase import Atoms

from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Benchmark, Sample, Scores, percentage
from cryingan.evaluation.benchmarks.published_csv import find_table, read_columns, read_table
from cryingan.evaluation.settings import AlloySettings
from cryingan.metrics.alloy import fcc
from cryingan.metrics.alloy.cluster_probabilities import cluster_probabilities, undefined_order
from cryingan.metrics.alloy.lattice import FccLattice
from cryingan.metrics.alloy.mapping import MAPPINGS, map_to_lattice
from cryingan.metrics.bootstrap import distance_of_means, mean_interval
from cryingan.metrics.energy_statistics import energy_histogram, histogram_edges, histogram_table
from cryingan.plots.energies import energy_figure
from cryingan.plots.violins import sro_figure

ENERGY_COLUMNS = ("formation_energy_per_atom", "formation energy (eV/atom)")
PUBLISHED_PAIRS = ("Fe-Ni", "Cr-Fe", "Cr-Ni", "Fe-Fe", "Cr-Cr", "Ni-Ni")
PUBLISHED_SRO = tuple(f"{shell}NN_{pair}" for shell in (1, 2) for pair in PUBLISHED_PAIRS)
SRO_COLUMNS = tuple(f"sro_{shell}_{pair}" for shell in (1, 2) for pair in fcc.PAIR_NAMES)


@dataclass(frozen=True)
class AlloyBenchmark(AlloySettings, Benchmark):
    """Scores of structures on the lattice of the reference (docs/dismai_bench.md, "Alloy: clusters").

    Attributes:
        lattice: lattice of the reference; None for the paper's lattice with a site at the origin.
    """

    composition_matters: ClassVar[bool] = False

    lattice: FccLattice | None = None

    def __post_init__(self) -> None:
        if self.mapping not in (*MAPPINGS, "auto"):
            raise CryinGANError(f"benchmark.mapping={self.mapping} must be one of auto, {', '.join(MAPPINGS)}")

    def require_species(self, composition: Mapping[str, int], name: str) -> None:
        """Refuse structures of other elements."""
        if not set(composition) <= set(fcc.SPECIES):
            elements = ", ".join(fcc.SPECIES)
            raise CryinGANError(f"{name} holds {', '.join(composition)}; benchmark=alloy is of {elements}")

    def for_reference(self, atoms: Atoms) -> Self:
        """Return this benchmark on the lattice that a reference structure fills."""
        lattice = FccLattice.of(atoms)
        # Files hold about eight decimals of a coordinate; settings must not depend on their rounding.
        origin = tuple(round(float(place), 6) for place in lattice.origin)
        return replace(self, lattice=replace(lattice, constant=round(lattice.constant, 6), origin=origin))

    def settings(self) -> dict[str, Any]:
        """Return all settings as JSON values."""
        return super().settings() | {"lattice": asdict(self.lattice) if self.lattice else None}

    def describe(self, atoms: Atoms) -> dict[str, np.ndarray]:
        """Return clusters per atom on the lattice (45,), vacancies, dropped atoms, and the mapping that was used."""
        mapped = map_to_lattice(atoms, self.lattice, self.mapping, self.compatible)
        if mapped.reason:
            raise CryinGANError(mapped.reason)
        return {
            "counts": mapped.counts,
            "vacancies": np.array(mapped.vacancies),
            "dropped": np.array(mapped.dropped),
            "mapping": np.array(mapped.mapping),
        }

    def published(self, folder: Path) -> tuple[Sample, dict[str, int]]:
        """Read train_cluster_prob.csv, train_formation_energy.csv and train_cluster_sro.csv."""
        probabilities = read_columns(find_table(folder, "*cluster_prob*.csv"), fcc.CLUSTER_NAMES)
        energy = find_table(folder, "*formation_energy*.csv")
        name = next((name for name in ENERGY_COLUMNS if name in read_table(energy)), ENERGY_COLUMNS[0])
        arrays = {
            "probabilities": probabilities,
            "formation_energy": read_columns(energy, [name])[:, 0],
            "sro": read_columns(find_table(folder, "*cluster_sro*.csv"), fcc.SRO_NAMES),
            "counts": np.empty((0, len(fcc.CLUSTER_NAMES))),
            **{name: np.empty(0, dtype=int) for name in ("vacancies", "dropped", "mapping")},
        }
        return Sample(arrays, np.arange(1, len(probabilities) + 1)), {}

    def score(self, generated: Sample, reference: Sample) -> Scores:
        """Return d_cluster, the percentage of structures with vacancies, and energy and order of each structure."""
        ours, theirs = _derived(generated), _derived(reference)
        vacancies, order = generated["vacancies"], ours["sro"]
        quantities = {"formation_energy": ours["formation_energy"], **dict(zip(SRO_COLUMNS, order.T, strict=True))}
        mean = theirs["formation_energy"].mean()
        above, theirs_above = (1000 * (side["formation_energy"] - mean) for side in (ours, theirs))  # meV/atom
        histogram = energy_histogram(above, histogram_edges(self.kind, self.compatible), self.compatible)
        shells = (side["sro"].reshape(-1, 2, len(fcc.PAIR_NAMES)) for side in (theirs, ours))
        energy_axis = {"unit": "meV/atom", "thresholds": (), "quantity": "formation energy above training mean"}
        return Scores(
            values={
                "d_cluster": distance_of_means(ours["probabilities"], theirs["probabilities"]),
                "percent_with_vacancies": percentage(vacancies > 0),
                **{name: mean_interval(column) for name, column in quantities.items()},
            },
            columns={
                "mapping": generated["mapping"],
                "dropped_atoms": generated["dropped"],
                "vacancies": vacancies,
                **quantities,
                "undefined_sro": undefined_order(generated["counts"]),
            },
            tables={
                "cluster_prob.csv": dict(zip(fcc.CLUSTER_NAMES, ours["probabilities"].T, strict=True)),
                "cluster_sro.csv": {name: order[:, fcc.SRO_NAMES.index(name)] for name in PUBLISHED_SRO},
                "formation_energy.csv": {
                    "structure index": generated.numbers,
                    "formation energy (eV/atom)": ours["formation_energy"],
                },
                "energy_histogram.csv": histogram_table(histogram, "meV/atom"),
                "vac_count.csv": {"structure_index": generated.numbers, "vac_count": vacancies},
            },
            figures={
                "sro": partial(sro_figure, *shells, fcc.PAIR_NAMES),
                "energies": partial(energy_figure, above, theirs_above, max(1, len(above)), **energy_axis),
            },
        )


def _derived(sample: Sample) -> Mapping[str, np.ndarray]:
    """Return probabilities, energies and order of structures, which a published reference holds already."""
    if "probabilities" in sample.arrays:
        return sample.arrays
    counts = sample["counts"]
    return {
        "probabilities": cluster_probabilities(counts),
        "formation_energy": fcc.formation_energy(counts),
        "sro": fcc.short_range_order(counts),
    }
