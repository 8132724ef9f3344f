"""Scores of interfaces from their descriptors: of all atoms, or of those in the interface region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from cryingan.evaluation.benchmarks.base import Sample, Scores
from cryingan.evaluation.benchmarks.motif_tables import curve_table, curves, likely, motif_scores, site_table
from cryingan.metrics import radial
from cryingan.metrics.bootstrap import mean_row
from cryingan.metrics.motifs.distances import ALL, motif_distances, site_means
from cryingan.metrics.motifs.distributions import bond_shares, motif_shares
from cryingan.metrics.motifs.fingerprints import MotifSettings
from cryingan.plots.motifs import motif_figure


@dataclass(frozen=True)
class InterfaceScores:
    """Scores of generated interfaces against a reference, with the settings of an `InterfaceBenchmark`.

    `part` is the suffix of the names of scores: empty for all atoms, `_region` for those in the interface region.
    """

    motifs: MotifSettings
    pairs: Sequence[tuple[str, str]]
    compatible: bool
    generated: Sample
    reference: Sample
    part: str = ""

    def scores(self) -> Scores:
        """Return all values, columns, tables and figures."""
        return self._distances() | self._coordination() | self._radial()

    def _mask(self, sample: Sample, species: str) -> np.ndarray | None:
        return sample[f"inside_{species}"] if self.part else None

    def _distances(self) -> Scores:
        """Return d_X and d_all, Euclidean and cosine, and the distances of each structure."""
        species = self.motifs.species
        ours, theirs = (
            {s: site_means(sample[f"motifs_{s}"], self._mask(sample, s)) for s in species}
            for sample in (self.generated, self.reference)
        )
        # Weights are the atoms in the whole structure, also for the region, where structures differ in their number.
        sites = {s: self.reference[f"motifs_{s}"].shape[1] for s in species}
        present = {s: count for s, count in sites.items() if count}
        values = {}
        for distance, ending in (("euclidean", ""), ("cosine", "_cosine")):
            found = motif_distances(ours, theirs, present, distance)
            for s in sites.keys() - present.keys():
                found |= {f"d_{s}": motif_distances(ours, theirs, {s: 1}, distance)[f"d_{s}"]}
            values |= {f"{name}{self.part}{ending}": found[name] for name in (*(f"d_{s}" for s in species), ALL)}
        norms = {s: np.linalg.norm(ours[s] - mean_row(theirs[s]), axis=1) for s in species}
        return Scores(values, {f"d_{s}{self.part}": norm for s, norm in norms.items()})

    def _coordination(self) -> Scores:
        """Return a table of atoms, and shares of atoms by most likely motif and by number of bonds to each anion."""
        scores, sets = Scores(), (self.generated, self.reference)
        for species in self.motifs.species:
            sites = [sample[f"motifs_{species}"] for sample in sets]
            if not sites[1].shape[1]:
                continue  # the reference has no such atoms
            found = [likely(fingerprints, self.motifs, self.compatible) for fingerprints in sites]
            both = [(one, self._mask(sample, species)) for one, sample in zip(found, sets, strict=True)]
            if not self.part:
                table = site_table(sites[0], found[0], self.generated.numbers, self.motifs, species)
                scores |= Scores(tables={f"cnn_stats_{species}.csv": table})
            shares = [motif_shares(one.motif, one.anion_counts[..., 0], mask) for one, mask in both]
            scores |= motif_scores(*shares, species, self.motifs.anions[0], self.part)
            for place, anion in enumerate(self.motifs.anions):
                bonds = (bond_shares(one.anion_counts[..., place], mask) for one, mask in both)
                scores |= self._bonds(species, anion, *bonds)
        return scores

    def _bonds(self, species: str, anion: str, generated: np.ndarray, reference: np.ndarray) -> Scores:
        most = max(np.flatnonzero(np.nansum(side, axis=0)).max(initial=0) for side in (generated, reference))
        numbers, name = np.arange(most + 1), f"bonds_{species}-{anion}{self.part}"
        table = curve_table("bonds", numbers, "share (%)", reference[:, : most + 1], generated[:, : most + 1])
        bars = ([f"{number} {anion}" for number in numbers], *list(table.values())[1:])
        return Scores(tables={f"{name}.csv": table}, figures={name: partial(motif_figure, *bars, species=species)})

    def _radial(self) -> Scores:
        name = f"rdf{self.part}"
        rows, target = self.generated[name], self.reference[name]
        tables = {}
        for place, pair in enumerate(self.pairs):
            table = curve_table("r", radial.bin_centers(), "rdf", target[:, place], rows[:, place])
            if np.isfinite([table["Train set avg rdf"], table["Gen set avg rdf"]]).any():
                tables["-".join(pair)] = table
        files = {f"avg_rdf_{pair.replace('-', '_')}{self.part}.csv": table for pair, table in tables.items()}
        return Scores(tables=files, figures={name: curves(tables, "r (Å)", "g(r)")} if tables else {})
