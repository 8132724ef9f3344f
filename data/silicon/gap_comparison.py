"""Amorphous structures relaxed with a GAP, with the potential that it imitates, and with Tersoff's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import Potential, load_potential
from cryingan.relaxation.relax import RelaxationResults, relax
from cryingan.structures.crystals import Crystals
from data.interface.potential_training.errors import spearman, spearman_interval
from data.silicon.checks import bonds
from data.silicon.dataset import silicon
from data.silicon.networks import kept_networks, make_networks
from data.silicon.properties import diamond
from data.silicon.quench import Quench

SOURCE = Quench(atoms=64, rate=5e14, seed=64)
"""Networks of their own: no structure of a training has this seed."""


def compare(gap: Potential, reference: Potential, n: int, work: Path) -> list[dict[str, Any]]:
    """Relax the same networks with several potentials; a killed comparison resumes, and then has no CPU time.

    Returns:
        What is known of the minima that each potential reached, in plain values: energies above its own diamond and
        of the reference above its diamond (meV/atom), coordination (percent), bonds (Angstrom), angles (degrees), steps
        and CPU time.

    Raises:
        CryinGANError: with one of them no relaxation converges.
    """
    networks = make_networks(kept_networks(work, SOURCE), SOURCE, n, 1)
    starts = silicon(np.array([network.positions for network in networks]), SOURCE.side)
    ended = {}  # by hash, as teacher and pupil may have one name
    for potential in (reference, gap, load_potential("tersoff")):
        began = time.process_time()
        folder = work / f"compared_{n}_{potential.card.hash[:12]}"
        resumed = folder.exists()
        results = relax(starts, potential, output=folder, backend="serial")
        ended[potential.card.hash] = (potential, results, None if resumed else time.process_time() - began)
    _, first, _ = ended[reference.card.hash]
    before = _row("the networks", starts, reference)
    return [before, *(_compared(*one, reference, first) for one in ended.values())]


def _compared(
    potential: Potential,
    results: RelaxationResults,
    seconds: float | None,
    reference: Potential,
    first: RelaxationResults,
) -> dict[str, Any]:
    both = results.converged & first.converged
    atoms, own = SOURCE.atoms, diamond(potential)["energy_per_atom"]
    energies = results.energy_final / atoms
    if not results.converged.any():
        raise CryinGANError(f"none of {len(results)} relaxations with {potential.card.name} converged")
    row = _row(potential.card.name, results.crystals[results.converged], reference)
    row |= {
        "converged": int(results.converged.sum()),
        "steps": float(results.steps.mean()),
        "seconds_per_structure": None if seconds is None else seconds / len(results),
        "above_own_diamond": float(1000 * (energies[results.converged].mean() - own)),
    }
    if results is not first:
        values = (energies[both], first.energy_final[both] / atoms)
        row["spearman"] = spearman(*values)
        row["spearman_interval"] = spearman_interval(*values)
    return row


def _row(name: str, crystals: Crystals, reference: Potential) -> dict[str, Any]:
    found = [bonds(one @ crystals.cell, crystals.cell) for one in crystals.fractional]
    counts = np.concatenate([one.counts for one in found])
    lengths, angles = (np.concatenate([getattr(one, key) for one in found]) for key in ("lengths", "angles"))
    energies = reference.evaluate(crystals.to_ase())[0] / SOURCE.atoms
    return {
        "name": name,
        "coordination": {str(number): float(100 * (counts == number).mean()) for number in (3, 4, 5)},
        "bond": float(lengths.mean()),
        "bond_deviation": float(lengths.std()),
        "angle_deviation": float(angles.std()),
        "reference_above_diamond": float(1000 * (energies.mean() - diamond(reference)["energy_per_atom"])),
    }
