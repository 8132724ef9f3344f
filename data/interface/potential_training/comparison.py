"""Structures relaxed by a build and by another potential from the same start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.energies.fractions import wilson
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import Potential
from cryingan.relaxation.journal import RELAX_MANIFEST, kind_hash, read_journal
from cryingan.relaxation.relax import RelaxationResults
from cryingan.structures.crystals import Crystals
from data.interface.parts import begun_parts, build_hash, built_interface, first_folder
from data.interface.potential_training.errors import spearman, spearman_interval
from data.interface.systems import read_system, system_path


@dataclass(frozen=True, eq=False)
class Relaxations:
    """Structures as the build placed and relaxed them.

    Attributes:
        numbers: shape (structures,).
        starts: as placed.
        energies: relaxed, eV/atom, shape (structures,); all have converged.
        potential: name and hash of the potential of the build.
        settings: how they were relaxed.
        source: what the starts are; see `cryingan.relaxation.journal.structures_identity`.
    """

    numbers: list[int]
    starts: Crystals
    energies: np.ndarray
    potential: Mapping[str, str]
    settings: Mapping[str, Any]
    source: str

    @property
    def key(self) -> str:
        """Number and hash of the structures, for the name of a folder."""
        return f"{len(self.numbers)}_{kind_hash(self.starts.species, self.numbers)[:8]}"


def relaxations(system: str, work: Path, names: set[str] | None, n: int) -> Relaxations:
    """The first converged structures of a build, without those that another potential relaxed first.

    Args:
        system: name or file.
        work: folder of its relaxations.
        names: structures that may be used; None for all.
        n: largest number of structures.

    Raises:
        CryinGANError: there are fewer than two, or the system is not that of the build.
    """
    interface, seed = built_interface(read_system(system_path(system)), work)
    n_atoms = len(interface.order)
    folders = [folder for folder in begun_parts(work) if first_folder(folder) is None]
    ended = sorted(
        (one.sample, one.energy_final / n_atoms)
        for folder in folders
        for one in read_journal(folder, n_atoms)
        if one.converged and (names is None or str(one.sample) in names)
    )[:n]
    if len(ended) < 2:
        raise CryinGANError(f"{work}: {len(ended)} converged structures that may be compared, too few")
    numbers, energies = zip(*ended, strict=True)
    manifest = json.loads((folders[0] / RELAX_MANIFEST).read_bytes())
    starts = interface.structures(seed, numbers)
    potential, how = manifest["potential"], manifest["settings"]
    return Relaxations(list(numbers), starts, np.array(energies), potential, how, build_hash(seed, interface))


def agreement(ended: RelaxationResults, built: Relaxations, cutoff: float | None) -> dict[str, Any]:
    """Agreement of relaxed energies of the same structures, in plain values, with 95 % intervals.

    Args:
        ended: relaxed with the potential that is judged; at least one has converged.
        built: relaxed with the potential of the build.
        cutoff: eV/atom; None where there is none.
    """
    energies, both = ended.energy_final / len(built.starts.species), ended.converged
    mine, theirs = energies[both], built.energies[both]
    same_side = None
    if cutoff is not None:  # unconverged structures are on neither side
        agreeing = int((both & ((energies <= cutoff) == (built.energies <= cutoff))).sum())
        same_side = wilson(agreeing, len(both))
    return {
        "reference": built.potential["name"],
        "reference_hash": built.potential["hash"],
        "fmax": built.settings["fmax"],
        "structures": len(both),
        "compared": int(both.sum()),
        "spearman": spearman(theirs, mine),
        "spearman_interval": spearman_interval(theirs, mine),
        "mae": float(np.abs(mine - theirs).mean()),
        "mean_difference": float((mine - theirs).mean()),
        "spread": float(built.energies.std()),
        "cutoff": cutoff,
        "agreement": same_side and same_side.value,
        "agreement_interval": same_side and (same_side.low, same_side.high),
        "steps": float(ended.steps.mean()),
        "numbers": built.numbers,
    }


def same_places(ended: RelaxationResults, reference: Potential) -> dict[str, Any]:
    """Agreement of the energies of two potentials for the same relaxed structures, in plain values.

    Relaxations from one start may end in different minima; this comparison leaves that out.

    Args:
        ended: relaxed structures; at least one has converged.
        reference: the other potential.
    """
    converged, n_atoms = ended.converged, len(ended.crystals.species)
    theirs = reference.evaluate(ended.crystals[converged].to_ase())[0] / n_atoms
    mine = ended.energy_final[converged] / n_atoms
    return {
        "structures": len(mine),
        "spearman": spearman(theirs, mine),
        "mae": float(np.abs(mine - theirs).mean()),
        "mean_difference": float((mine - theirs).mean()),
    }


def shifted(crystals: Crystals, size: float) -> Crystals:
    """Structures with randomly moved atoms, the same moves in every call.

    Args:
        crystals: the structures.
        size: standard deviation in each direction, Angstrom.
    """
    steps = np.random.default_rng(0).normal(0, size, crystals.fractional.shape)
    return Crystals(crystals.fractional + steps @ np.linalg.inv(crystals.cell), crystals.cell, crystals.species)
