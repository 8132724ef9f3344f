"""Networks relaxed with the potential that will relax samples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.potentials.potential import Potential
from cryingan.progress import reported
from cryingan.relaxation.one_structure import Relaxed
from cryingan.relaxation.settings import RelaxSettings
from cryingan.relaxation.workers import Task, in_processes, relax_here, relax_in_workers
from data.silicon.dataset import silicon
from data.silicon.networks import Network
from data.silicon.networks import key_of as key_of_networks
from data.silicon.quench import Quench
from data.silicon.results import KeptResults
from data.silicon.slices import Slices


def relax_networks(
    networks: Sequence[Network], source: Quench | Slices, potential: Potential, settings: RelaxSettings, folder: Path
) -> list[Relaxed]:
    """Relax networks at fixed cell.

    Args:
        networks: the starts.
        source: what made them.
        potential: what relaxes them.
        settings: how, and where.
        folder: where results are kept, in a file for each potential; those in it are not computed again.

    Returns:
        A result for each network, in their order; some may not have converged.

    Raises:
        CryinGANError: the file holds results of other networks or settings, or workers die.
    """
    key = key_of(potential, settings, source)
    kept = KeptResults(folder / f"relaxed_{potential.card.hash[:12]}.bin", key, Relaxed)
    waiting = [
        (network.sample, silicon(network.positions[None], source.side))
        for network in networks
        if network.sample not in kept.known
    ]
    task = Task(json.dumps(potential.spec), settings, np.inf)
    elsewhere = in_processes(potential, settings)
    ending = relax_in_workers(task, waiting) if elsewhere else relax_here(task, waiting, potential)
    with closing(kept.keep(ending)) as relaxing:
        before = len(networks) - len(waiting)
        for result in reported(relaxing, len(networks), "relaxing", "relaxed", before):
            if not result.converged:
                print(f"structure {result.sample} is refused: its relaxation ended with {result.reason}", flush=True)
    return [kept.known[network.sample] for network in networks]


def key_of(potential: Potential, settings: RelaxSettings, source: Quench | Slices) -> dict[str, Any]:
    """What decides all relaxed networks of a build, in plain values."""
    start = {"networks": key_of_networks(source), "side": source.side}
    return json.loads(json.dumps({"potential": potential.card.hash, **start, **settings.protocol}))
