"""What a set of amorphous silicon is like: coordination, bonds, angles, g(r), motifs, energies, noise floors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk
from scipy.optimize import minimize_scalar

from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Sample
from cryingan.evaluation.benchmarks.motif_tables import likely
from cryingan.evaluation.benchmarks.silicon import SETTINGS, SPECIES, SiliconBenchmark
from cryingan.evaluation.describe import DescriptorFile, describe_all
from cryingan.evaluation.reference import descriptor_key, stacked
from cryingan.metrics import angles, radial
from cryingan.metrics.motifs.distributions import NAMES, motif_shares
from cryingan.potentials.potential import Potential
from cryingan.structures.crystals import Crystals
from cryingan.structures.lenient import Candidate
from data.silicon.checks import BOND, Bonds, bonds

FIRST, SECOND = (2.0, 2.8), (3.3, 4.5)  # Angstrom; where the peaks of g(r) are
CONSTANTS = (5.2, 5.7)  # Angstrom; lattice constants of diamond among which that of a potential is looked for
DESCRIPTORS = "descriptors.bin"
FEW = 30  # samples that one can afford to relax


@dataclass(frozen=True, eq=False)
class Properties:
    """Structures of silicon, and their descriptors of Dismai-Bench.

    Attributes:
        crystals: the structures.
        sample: descriptors of `cryingan.evaluation.benchmarks.silicon.SiliconBenchmark`.
    """

    crystals: Crystals
    sample: Sample

    @cached_property
    def bonds(self) -> list[Bonds]:
        """Bonds of each structure, between atoms within 2.85 Angstrom."""
        cell = self.crystals.cell
        return [bonds(fractional @ cell, cell, BOND) for fractional in self.crystals.fractional]

    def coordination(self) -> dict[str, Any]:
        """Shares of atoms by their number of neighbours, percent, and those of four between structures."""
        counts = np.bincount(np.concatenate([one.counts for one in self.bonds]))
        shares = {number: _rounded(100 * count / counts.sum()) for number, count in enumerate(counts) if count}
        four = np.array([100 * one.share(4) for one in self.bonds])
        return {"shares": shares, "four_fold_deviation": _rounded(four.std()), "four_fold_least": _rounded(four.min())}

    def geometry(self) -> dict[str, float]:
        """Means and standard deviations of all bond lengths, Angstrom, and bond angles, degrees."""
        lengths, turns = (np.concatenate([getattr(one, name) for one in self.bonds]) for name in ("lengths", "angles"))
        found = {"bond": lengths.mean(), "bond_deviation": lengths.std()}
        found |= {"angle": turns.mean(), "angle_deviation": turns.std()}
        return {name: _rounded(value, 4) for name, value in found.items()}

    def curves(self) -> dict[str, float]:
        """Peaks of the mean g(r) and of the mean distribution of angles, in the bins of Dismai-Bench."""
        r, g = radial.bin_centers(), self.sample["rdf"].mean(axis=0)
        degrees, shares = angles.bin_centers(), 100 * self.sample["angles"].mean(axis=0)
        found = {}
        for name, (low, high) in (("first", FIRST), ("second", SECOND)):
            inside = np.flatnonzero((r > low) & (r < high))
            top = inside[g[inside].argmax()]
            found |= {f"{name}_peak": g[top], f"{name}_peak_at": r[top]}
        found["minimum"] = g[(r > FIRST[1] - 0.3) & (r < SECOND[0])].min()
        found |= {"angle_peak": shares.max(), "angle_peak_at": degrees[shares.argmax()]}
        return {name: _rounded(value, 3) for name, value in found.items()}

    def motifs(self) -> dict[str, float]:
        """Shares of atoms by their most likely motif, percent, the commonest first; those below 0.1 are left out."""
        shares = motif_shares(likely(self.sample["motifs"], SETTINGS).motif).sum(axis=2).mean(axis=0)
        order = np.argsort(-shares, kind="stable")
        return {NAMES[index]: _rounded(shares[index]) for index in order if shares[index] >= 0.1}

    def noise_floor(self, n: int) -> dict[str, float]:
        """Scores of `n` structures against `n` others, in the mean of all that are left: a perfect generator's.

        Args:
            n: of a group, at most half of the structures.
        """
        pairs = len(self.crystals) // (2 * n)
        scores = []
        for first in range(pairs):
            own = np.arange(first, 2 * n * pairs, pairs)
            scores.append(SiliconBenchmark().score(self._part(own[::2]), self._part(own[1::2])).values)
        names = ("d_motif", "d_rdf", "d_angle")
        return {"structures": n, **{name: _rounded(np.mean([one[name].value for one in scores]), 5) for name in names}}

    def _part(self, numbers: np.ndarray) -> Sample:
        return Sample(
            {name: array[numbers] for name, array in self.sample.arrays.items()}, self.sample.numbers[numbers]
        )


def described(crystals: Crystals, processes: int | None = None, kept: DescriptorFile | None = None) -> Properties:
    """Describe structures, which takes a tenth of a second for one of 256 atoms.

    Args:
        crystals: the structures, of silicon.
        processes: that work; one for every processor when None.
        kept: file to which descriptors are written as they end.

    Raises:
        CryinGANError: a structure cannot be described.
    """
    frames = [Candidate(number, "", atoms) for number, atoms in enumerate(crystals.to_ase(), 1)]
    return Properties(crystals, stacked(describe_all(frames, SiliconBenchmark().describe, kept, processes)))


def descriptor_file(folder: Path, made: Mapping[str, Any]) -> DescriptorFile:
    """The file of descriptors in a folder, which a larger set of the same build continues; replaces any other.

    Args:
        folder: of the build.
        made: how structures are made, so that the first ones of a larger set are the same, as JSON values.
    """
    return DescriptorFile(folder / DESCRIPTORS, descriptor_key(SiliconBenchmark(), "") | {"made": made}, replace=True)


def diamond(potential: Potential) -> Mapping[str, float]:
    """Energy, eV/atom, and lattice constant, Angstrom, of the diamond crystal of a potential.

    Raises:
        CryinGANError: the potential knows no silicon, or has no lattice constant near that of silicon.
    """

    def energy(constant: float) -> float:
        return float(potential.evaluate([bulk(SPECIES, a=constant)])[0][0]) / 2

    found = minimize_scalar(energy, bounds=CONSTANTS, method="bounded", options={"xatol": 1e-5})
    if min(abs(found.x - bound) for bound in CONSTANTS) < 1e-3:
        least, largest = CONSTANTS
        raise CryinGANError(
            f"{potential.card.name}: the energy of diamond has no minimum between {least} and {largest} Angstrom"
        )
    return {"energy_per_atom": _rounded(found.fun, 6), "lattice_constant": _rounded(found.x, 4)}


def _rounded(value: float, digits: int = 2) -> float:
    return round(float(value), digits)
