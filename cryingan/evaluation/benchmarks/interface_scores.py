"""Scores of interfaces from their descriptors: of all atoms, or of those in the interface region."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cryingan.evaluation.benchmarks.base import Sample, Scores, Table
from cryingan.evaluation.benchmarks.motif_tables import (
    bars,
    curve_table,
    curves,
    distribution_table,
    likely,
    motif_figures,
    site_table,
)
from cryingan.metrics import radial
from cryingan.metrics.bootstrap import Interval, mean_interval, mean_row
from cryingan.metrics.motifs.distances import ALL, motif_distances, site_means
from cryingan.metrics.motifs.distributions import bond_shares, motif_distribution, motif_shares
from cryingan.metrics.motifs.fingerprints import MotifSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class InterfaceScores:
    """Scores of generated interfaces against a reference.

    Attributes:
        motifs: settings of the fingerprints; the motifs of its species are compared.
        pairs: pairs of the radial distribution functions.
        compatible: name isolated atoms as the published code does.
        generated: descriptors of the accepted structures.
        reference: descriptors of the reference.
        part: suffix of the names of scores: empty for all atoms, `_region` for those in the interface region.
    """

    motifs: MotifSettings
    pairs: Sequence[tuple[str, str]]
    compatible: bool
    generated: Sample
    reference: Sample
    part: str = ""

    def scores(self) -> Scores:
        """Return all values, columns, tables and figures."""
        values, columns = self._distances()
        tables, figures = self._motifs()
        bonds = self._bonds()
        shapes = self._radial()
        tables |= {f"bonds_{name}{self.part}.csv": table for name, table in bonds.items()}
        tables |= {f"avg_rdf_{name.replace('-', '_')}{self.part}.csv": table for name, table in shapes.items()}
        figures |= {f"bonds_{name}{self.part}": bars(name, table) for name, table in bonds.items()}
        figures[f"rdf{self.part}"] = curves(shapes, "r (Å)", "g(r)")
        return Scores(values, columns, tables, figures)

    def _masks(self, sample: Sample, species: str) -> np.ndarray | None:
        """Return which atoms count; of published statistics, which have no positions, none lies in the region."""
        if not self.part:
            return None
        name = f"inside_{species}"
        return sample[name] if name in sample else np.zeros(sample[f"motifs_{species}"].shape[:2], dtype=bool)

    def _distances(self) -> tuple[dict[str, Interval], dict[str, np.ndarray]]:
        """Return d_X and d_all, Euclidean and cosine, and the distances of each structure."""
        species = self.motifs.species
        sides = [
            {s: site_means(sample[f"motifs_{s}"], self._masks(sample, s)) for s in species}
            for sample in (self.generated, self.reference)
        ]
        # Weights are the atoms in the whole structure, also for the region, where structures differ in their number.
        sites = {s: self.reference[f"motifs_{s}"].shape[1] for s in species}
        present = {s: count for s, count in sites.items() if count}
        absent = [s for s in species if s not in present]
        values = {}
        for distance, ending in (("euclidean", ""), ("cosine", "_cosine")):
            found = motif_distances(*sides, present, distance)
            found |= {f"d_{s}": motif_distances(*sides, {s: 1}, distance)[f"d_{s}"] for s in absent}
            ordered = [f"d_{s}" for s in species] + [ALL]
            values |= {f"{name}{self.part}{ending}": found[name] for name in ordered}
        columns = {}
        for s in species:
            columns[f"d_{s}{self.part}"] = np.linalg.norm(sides[0][s] - mean_row(sides[1][s]), axis=1)
        return values, columns

    def _motifs(self) -> tuple[dict[str, Table], dict[str, Callable[[], Figure]]]:
        """Return a table of atoms, and shares of the most likely motifs."""
        neighbor = self.motifs.anions[0]
        tables, figures = {}, {}
        for species, sides in self._likely.items():
            shares = [
                motif_shares(found.motif, found.anion_counts[..., 0], self._masks(sample, species))
                for found, sample in zip(sides, (self.generated, self.reference), strict=True)
            ]
            if not self.part:
                features = self.generated[f"motifs_{species}"]
                sites = site_table(features, sides[0], self.generated.numbers, self.motifs, species)
                tables[f"cnn_stats_{species}.csv"] = sites
            if np.isfinite(shares[1]).any():
                distribution = motif_distribution(*shares)
                tables[f"most_likely_{species}_OP{self.part}.csv"] = distribution_table(distribution, neighbor)
                figures |= dict(motif_figures(f"{species}{self.part}", distribution, species, neighbor))
        return tables, figures

    @cached_property
    def _likely(self) -> dict:
        """Most likely coordination of both sets, by species that occur in the reference."""
        settings, compatible = self.motifs, self.compatible
        return {
            species: tuple(likely(side[f"motifs_{species}"], settings, compatible) for side in sides)
            for species in self.motifs.species
            for sides in [(self.generated, self.reference)]
            if self.reference[f"motifs_{species}"].shape[1]
        }

    def _bonds(self) -> dict[str, Table]:
        """Return shares of atoms by number of bonds, for each species and anion."""
        tables = {}
        for species, sides in self._likely.items():
            for place, anion in enumerate(self.motifs.anions):
                shares = [
                    bond_shares(found.anion_counts[..., place], self._masks(sample, species))
                    for found, sample in zip(sides, (self.generated, self.reference), strict=True)
                ]
                largest = max((np.flatnonzero(np.nansum(side, axis=0)).max(initial=0) for side in shares), default=0)
                ours, theirs = (side[:, : largest + 1] for side in shares)
                table = curve_table("bonds", np.arange(largest + 1), "share (%)", mean_row(theirs), mean_interval(ours))
                tables[f"{species}-{anion}"] = table
        return tables

    def _radial(self) -> dict[str, Table]:
        """Return mean radial distribution functions by pair."""
        name = f"rdf{self.part}"
        rows = self.generated[name]
        target = self.reference.arrays.get(name, np.full((1, *rows.shape[1:]), np.nan))
        tables = {}
        for place, pair in enumerate(self.pairs):
            theirs, found = mean_row(target[:, place]), mean_interval(rows[:, place])
            if np.isfinite(theirs).any() or np.isfinite(found.value).any():
                tables["-".join(pair)] = curve_table("r", radial.bin_centers(), "rdf", theirs, found)
        return tables
