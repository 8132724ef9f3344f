"""The interface benchmark: coordination motifs of all cations, and of those in the interface region."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, Self

import numpy as np
from ase import Atoms

from cryingan.energies.data_card import DataCard
from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Benchmark, Sample, Scores
from cryingan.evaluation.benchmarks.charges import guessed_charges
from cryingan.evaluation.benchmarks.interface_scores import InterfaceScores
from cryingan.evaluation.benchmarks.published_csv import find_table, read_sites
from cryingan.evaluation.settings import InterfaceSettings
from cryingan.metrics import radial
from cryingan.metrics.motifs.fingerprints import MotifSettings, feature_names, fingerprints
from cryingan.metrics.region import Region
from cryingan.structures.checks import formula

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InterfaceBenchmark(InterfaceSettings, Benchmark):
    """Scores of interfaces (docs/dismai_bench.md, "Interface: motif distance d_X")."""

    def __post_init__(self) -> None:
        if not self.species or not self.anions:
            raise CryinGANError("benchmark.species and benchmark.anions need at least one element each")
        if self.region:
            if len(self.region) != 2:
                raise CryinGANError(f"benchmark.region={list(self.region)} must be [low,high], fractions of the cell")
            Region(*self.region)

    @cached_property
    def motifs(self) -> MotifSettings:
        """Settings of the motif fingerprints."""
        return MotifSettings(tuple(self.species), self.oxidation_states, tuple(self.anions))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of the radial distribution functions: all pairs of the species and the anions."""
        return tuple(combinations_with_replacement(dict.fromkeys((*self.species, *self.anions)), 2))

    def settings(self) -> dict[str, Any]:
        """Return all settings as JSON values, with the pairs that follow from them."""
        return super().settings() | {"pairs": ["-".join(pair) for pair in self.pairs]}

    def for_species(self, composition: Mapping[str, int], name: str) -> Self:
        """Return this benchmark with species, anions and charges of a reference that has elements the paper's has not.

        Those that were given stay; the others follow from the composition, which is said in one line.
        """
        paper, completed = InterfaceSettings(), self
        if not set(composition) <= set(paper.oxidation_states):
            charges = self._charges(composition, name, paper)
            by_number = sorted(charges, key=lambda symbol: (-composition[symbol], symbol))
            species = [s for s in by_number if charges[s] > 0] if self.species == paper.species else self.species
            anions = [s for s in by_number if charges[s] < 0] if self.anions == paper.anions else self.anions
            if not species or not anions:
                keys = "benchmark.species=[...] and benchmark.anions=[...]"
                raise CryinGANError(f"{name} holds {formula(composition)}, without cations or anions: give {keys}")
            states = {**self.oxidation_states, **charges}
            completed = replace(self, species=species, anions=anions, oxidation_states=states)
        completed.require_species(composition, name)
        if completed != self:
            log.info("%s: guessed with pymatgen, where not given: %s", name, _keys(species, anions, charges))
        return completed

    def _charges(self, composition: Mapping[str, int], name: str, paper: InterfaceSettings) -> dict[str, float]:
        """Charges as they were given, or else guessed, of every element of a reference."""
        if set(composition) <= set(self.oxidation_states):
            return {s: self.oxidation_states[s] for s in composition}
        given = {s: q for s, q in self.oxidation_states.items() if paper.oxidation_states.get(s) != q}
        charges = guessed_charges(composition, given)
        if charges is None:
            keys = " ".join(f"benchmark.oxidation_states.{s}=N" for s in composition if s not in given)
            raise CryinGANError(f"{name} holds {formula(composition)}; no neutral charges are known: give {keys}")
        return charges

    def for_card(self, card: DataCard, name: str) -> Self:
        """Return this benchmark with the region of a card, unless another or none ([]) is given."""
        if self.region is not None or card.region is None:
            return replace(self, region=self.region or None)
        region = list(card.region)
        log.info("%s: benchmark.region=[%s,%s], from its card; benchmark.region=[] scores no region", name, *region)
        return replace(self, region=region)

    def require_species(self, composition: Mapping[str, int], name: str) -> None:
        """Refuse structures with none of the species, or with elements of unknown charge."""
        if not set(self.species) & set(composition):
            raise CryinGANError(
                f"{name} holds {', '.join(composition)} and none of benchmark.species={','.join(self.species)}"
            )
        unknown = [symbol for symbol in composition if symbol not in self.oxidation_states]
        if unknown:
            raise CryinGANError(
                f"{name} holds {unknown[0]}: give its charge, benchmark.oxidation_states.{unknown[0]}=N"
            )

    def describe(self, atoms: Atoms) -> dict[str, np.ndarray]:
        """Return g(r) (pairs, 500), and by species fingerprints (sites, features) and sites in the region (sites,)."""
        symbols = np.array(atoms.get_chemical_symbols())
        found = fingerprints(atoms, self.motifs)
        described = {f"motifs_{species}": rows for species, rows in found.items()}
        described["rdf"] = radial.partial_rdfs(atoms, self.pairs, compatible=self.compatible)
        if self.region:
            inside = Region(*self.region).contains(atoms)
            described |= {f"inside_{species}": inside[symbols == species] for species in self.species}
            described["rdf_region"] = radial.partial_rdfs(atoms, self.pairs, centers=inside, compatible=self.compatible)
        return described

    def published(self, folder: Path) -> tuple[Sample, dict[str, int]]:
        """Read cnn_stats_Li.csv and so on, without radial distributions and positions: no atom lies in the region."""
        arrays = {}
        for species in self.species:
            table = find_table(folder, f"cnn_stats_{species}*.csv")
            arrays[f"motifs_{species}"] = read_sites(table, feature_names(self.motifs))
        shapes = {species: arrays[f"motifs_{species}"].shape[:2] for species in self.species}
        arrays["rdf"] = arrays["rdf_region"] = np.empty((0, len(self.pairs), radial.BINS))
        arrays |= {f"inside_{species}": np.zeros(shape, dtype=bool) for species, shape in shapes.items()}
        numbers = np.arange(1, max(structures for structures, _ in shapes.values()) + 1)
        return Sample(arrays, numbers), {species: sites for species, (_, sites) in shapes.items()}

    def score(self, generated: Sample, reference: Sample) -> Scores:
        """Return d_Li and so on, d_all and the distributions behind them, likewise of the region if there is one."""
        whole = InterfaceScores(self.motifs, self.pairs, self.compatible, generated, reference)
        return whole.scores() if not self.region else whole.scores() | replace(whole, part="_region").scores()


def _keys(species: Sequence[str], anions: Sequence[str], charges: Mapping[str, float]) -> str:
    """Settings as one would type them."""
    lists = f"benchmark.species=[{','.join(species)}] benchmark.anions=[{','.join(anions)}]"
    return " ".join([lists, *(f"benchmark.oxidation_states.{s}={q:g}" for s, q in charges.items())])
