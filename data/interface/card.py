"""The card of an interface data set, NAME.card.yaml: its cut-offs, and how it was made."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cryingan.energies.fractions import quantile_thresholds
from cryingan.errors import CryinGANError
from cryingan.storage.atomic import replace_file
from data.interface.dataset import ENERGIES, RelaxedSet

# Keys of `made` that determine the random structures, and which of them are kept.
STRUCTURES = ("substrate", "film", "cell", "region", "seed", "kept_share")
SAME_NUMBER = 1e-3  # Angstrom and degrees; relaxing a crystal again changes it by less


def read_card(path: Path) -> dict[str, Any]:
    """The content of a card; empty if there is none.

    Raises:
        CryinGANError: it cannot be read, or is not a mapping.
    """
    try:
        content = (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CryinGANError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(one, dict) for one in content.get("cutoffs") or []):
        raise CryinGANError(f"{path} is no card of a data set: move it away, or mend it")
    return content


def write_card(relaxed: RelaxedSet, path: Path, made: Mapping[str, Any]) -> None:
    """Write the card that `cryingan.energies.data_card` reads; cut-offs of other potentials (`add_cutoff`) stay.

    Where the random structures or the share that is kept have changed, they are removed, with a line on stderr.

    Args:
        relaxed: the set.
        path: NAME.card.yaml beside NAME.extxyz.gz.
        made: `data.interface.facts.facts` of the set.
    """
    interface, earlier = relaxed.interface, read_card(path)
    built, *others = earlier.get("cutoffs") or [{}]
    same = built.get("hash") == relaxed.potential["hash"] and _made_alike(earlier.get("made") or {}, made)
    if others and not same:
        names = ", ".join(str(one.get("potential")) for one in others)
        print(f"{path}: the cut-offs of {names} go, as they belong to another build", file=sys.stderr, flush=True)
    default = {name: earlier[name] for name in ("default_potential",) if same and name in earlier}
    name, sha = (relaxed.potential[key] for key in ("name", "hash"))
    cutoff = cutoff_entry(name, sha, relaxed.cutoff, relaxed.energies, ENERGIES)
    content = {
        "name": interface.system.name,
        "kind": "interface",
        "area_axis": "c",
        "region": [round(float(height / interface.slabs.cell[2, 2]), 4) for height in interface.bounds],
        "cutoffs": [cutoff, *(others if same else [])],
        **default,
        "made": dict(made),
    }
    _write(content, path)


def cutoff_entry(potential: str, sha: str, cutoff: float, energies: np.ndarray, file: str) -> dict[str, Any]:
    """One entry of `cutoffs`, in plain values.

    Args:
        potential: name of the potential.
        sha: its hash.
        cutoff: eV/atom.
        energies: relaxed energies of the random structures, eV/atom; NaN for those without.
        file: where these are, beside the card.
    """
    quantiles = {percent: round(energy, 8) for percent, energy in quantile_thresholds(energies).items()}
    values = {"energy_per_atom": cutoff, "random": file, "quantiles": quantiles}
    return {"potential": potential, "hash": sha, **values}


def add_cutoff(path: Path, cutoff: Mapping[str, Any], default: str | None = None) -> None:
    """Add the cut-off of another potential to a card; replaces an earlier one of that name.

    Args:
        path: the card; its first cut-off is that of the potential of the build.
        cutoff: as `cutoff_entry` makes it.
        default: folder of the potential beside the card, if it becomes the default of the set.
    """
    content = read_card(path)
    first, *others = content["cutoffs"]
    content["cutoffs"] = [first, *(one for one in others if one["potential"] != cutoff["potential"]), dict(cutoff)]
    _write(content | ({"default_potential": default} if default else {}), path)


def _write(content: Mapping[str, Any], path: Path) -> None:
    with replace_file(path) as file:
        file.write(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120).encode())


def _made_alike(earlier: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    both_fixed = [(one.get("relaxation") or {}).get("fixed") for one in (earlier, made)]
    return _alike(*both_fixed) and all(_alike(earlier.get(key), made[key]) for key in STRUCTURES)


def _alike(first: Any, second: Any) -> bool:
    """Whether two values of a card are equal within `SAME_NUMBER`, apart from their sources."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        keys = (first.keys() | second.keys()) - {"source"}
        return all(_alike(first.get(key), second.get(key)) for key in keys)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_alike, first, second))
    if isinstance(first, float) and isinstance(second, float):
        return abs(first - second) < SAME_NUMBER
    return first == second
