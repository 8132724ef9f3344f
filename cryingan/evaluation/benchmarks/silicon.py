"""The amorphous silicon benchmark: coordination motifs, radial distribution and bond angles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Benchmark, Sample, Scores
from cryingan.evaluation.benchmarks.motif_tables import curve_table, curves, likely, motif_scores, site_table
from cryingan.evaluation.benchmarks.published_csv import find_table, read_grid, read_sites
from cryingan.evaluation.settings import SiliconSettings
from cryingan.metrics import angles, radial
from cryingan.metrics.bootstrap import distance_of_means, mean_row
from cryingan.metrics.motifs.distances import site_means
from cryingan.metrics.motifs.distributions import motif_shares
from cryingan.metrics.motifs.fingerprints import MotifSettings, feature_names, fingerprints

SPECIES = "Si"
SETTINGS = MotifSettings((SPECIES,))


@dataclass(frozen=True)
class SiliconBenchmark(SiliconSettings, Benchmark):
    """Scores of amorphous silicon (docs/dismai_bench.md, "Amorphous silicon")."""

    def require_species(self, composition: Mapping[str, int], name: str) -> None:
        """Refuse structures of other elements."""
        if set(composition) != {SPECIES}:
            raise CryinGANError(f"{name} holds {', '.join(composition)}; benchmark=silicon is of {SPECIES} alone")

    def describe(self, atoms: Atoms) -> dict[str, np.ndarray]:
        """Return fingerprints (sites, 61), g(r) (500,) and bond angles (360,)."""
        return {
            "motifs": fingerprints(atoms, SETTINGS)[SPECIES],
            "rdf": radial.rdf(atoms, compatible=self.compatible),
            "angles": angles.bond_angle_histogram(atoms),
        }

    def published(self, folder: Path) -> tuple[Sample, dict[str, int]]:
        """Read cnn_stats_Si_train.csv, rdf_Si-Si_train.csv and bond_angle_distribution_train.csv."""
        motifs = read_sites(find_table(folder, "cnn_stats_Si*.csv"), feature_names(SETTINGS))
        arrays = {
            "motifs": motifs,
            "rdf": read_grid(find_table(folder, "rdf_Si-Si*.csv"), radial.bin_centers()),
            "angles": read_grid(find_table(folder, "bond_angle_distribution*.csv"), angles.bin_centers()),
        }
        return Sample(arrays, np.arange(1, len(motifs) + 1)), {SPECIES: motifs.shape[1]}

    def score(self, generated: Sample, reference: Sample) -> Scores:
        """Return d_motif, d_rdf and d_angle, the distributions behind them, and distances of each structure."""
        rows, target = (
            {"d_motif": site_means(side["motifs"]), "d_rdf": side["rdf"], "d_angle": side["angles"]}
            for side in (generated, reference)
        )
        found, expected = (likely(side["motifs"], SETTINGS, self.compatible) for side in (generated, reference))
        motifs = motif_scores(motif_shares(found.motif), motif_shares(expected.motif), SPECIES)
        radial_table = curve_table("r", radial.bin_centers(), "rdf", reference["rdf"], generated["rdf"])
        angle_sides = (reference["angles"], generated["angles"])
        angle_table = curve_table("angle", angles.bin_centers(), "bond angle (%)", *angle_sides, factor=100)
        return motifs | Scores(
            values={
                **{name: distance_of_means(rows[name], target[name]) for name in rows},
                "d_motif_cosine": distance_of_means(rows["d_motif"], target["d_motif"], "cosine"),
            },
            columns={
                **{name: np.linalg.norm(rows[name] - mean_row(target[name]), axis=1) for name in rows},
                "mean_coordination": found.cn.mean(axis=1),
            },
            tables={
                "cnn_stats_Si.csv": site_table(generated["motifs"], found, generated.numbers, SETTINGS, SPECIES),
                "rdf_Si-Si.csv": _grid(radial.bin_centers(), generated["rdf"]),
                "avg_rdf_Si_Si.csv": radial_table,
                "bond_angle_distribution.csv": _grid(angles.bin_centers(), generated["angles"]),
                "avg_bond_angle_distribution.csv": angle_table,
            },
            figures={
                "rdf": curves({"Si-Si": radial_table}, "r (Å)", "g(r)"),
                "bond_angles": curves({"Si-Si-Si": angle_table}, "bond angle (°)", "share of angles (%)"),
            },
        )


def _grid(places: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return a row for each structure and a column for each bin, named by its mid-point."""
    return {f"{place:.10g}": column for place, column in zip(places, rows.T, strict=True)}
