"""The card of a set of amorphous silicon: its energy scale, and everything that its page says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cryingan.potentials.potential import Potential
from cryingan.storage.atomic import replace_file
from cryingan.storage.hashes import file_hash
from data.silicon.dataset import SiliconSet
from data.silicon.engine import lammps_version
from data.silicon.properties import FEW, Properties, diamond
from data.silicon.rings import rings_per_atom
from data.silicon.settings import SiliconBuildSettings


def facts(made: SiliconSet, found: Properties, settings: SiliconBuildSettings, potential: Potential) -> dict[str, Any]:
    """How a set was made and what it is like, in plain values: the key `made` of its card."""
    how, crystal, half = settings.how, diamond(potential), len(made.results) // 2
    above = 1000 * (made.energies - crystal["energy_per_atom"])
    return {
        "atoms": settings.atoms,
        "side": made.side,
        "density": round(settings.source.density, 3),
        **_origin(settings),
        "seed": settings.seed,
        "lammps": lammps_version(),
        "relaxation": {"optimizer": how.optimizer, "fmax": how.fmax, "max_steps": how.max_steps},
        "potential": {"name": made.potential.name, "hash": made.potential.hash},
        "tried": len(made.results) + len(made.refused),
        "refused": made.reasons(),
        "beyond_after_relaxation": made.beyond(),
        "structures": len(made.results),
        "coordination": found.coordination(),
        **found.geometry(),
        "rings_per_atom": {size: round(number, 5) for size, number in rings_per_atom(made.crystals).items()},
        "curves": found.curves(),
        "motifs": found.motifs(),
        "noise_floor": found.noise_floor(half),
        "noise_floor_of_few": found.noise_floor(min(half, FEW)),
        "energy_per_atom": round(float(made.energies.mean()), 6),
        "above_diamond": {"mean": round(float(above.mean()), 1), "deviation": round(float(above.std()), 1)},
        "relaxation_steps": round(float(np.mean([one.steps for one in made.results])), 1),
        "diamond": dict(crystal),
    }


def _origin(settings: SiliconBuildSettings) -> dict[str, Any]:
    if settings.slice is None:
        return {"quench_rate": settings.rate}
    return {"slices_of": {"file": Path(settings.slice).name, "sha256": file_hash(settings.slice)}}


def seen_from(folder: Path, potential: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a potential for a card in a folder: a path inside of it from there, another one in full."""
    path = Path(potential.get("path") or "")
    if not potential.get("path") or not path.exists():  # a model's name
        return dict(potential)
    path, folder = path.resolve(), folder.resolve()
    return {**potential, "path": str(path.relative_to(folder) if path.is_relative_to(folder) else path)}


def write_card(made: SiliconSet, values: dict[str, Any], settings: SiliconBuildSettings, path: Path) -> None:
    """Write the card that `cryingan.energies.data_card` reads; the mean energy of the set is its zero."""
    cutoff = {**asdict(made.potential), "energy_per_atom": values["energy_per_atom"]}
    content = {
        "name": "amorphous silicon",
        "kind": "bulk",
        "cutoffs": [{"potential": cutoff["name"], **{key: cutoff[key] for key in ("hash", "energy_per_atom")}}],
        "default_potential": seen_from(path.parent, settings.potential),
        "made": values,
    }
    with replace_file(path) as file:
        file.write(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120).encode())
