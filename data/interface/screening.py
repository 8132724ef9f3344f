"""Screening: of the structures that a quicker potential relaxed first, only those of low energy go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.relaxation.journal import RELAX_MANIFEST
from cryingan.relaxation.one_structure import Relaxed
from cryingan.storage.atomic import make_folder, write_json

SCREEN = "screen.json"
SCREENED = "screened"  # how the relaxation of a structure ended that does not go on


def claim_screen(folder: Path, screen: float | None) -> None:
    """Note the screen of a part before its first structure is relaxed.

    Args:
        folder: folder in which the quicker potential relaxes.
        screen: highest energy that goes on, eV/atom; None where all do.

    Raises:
        CryinGANError: the part was begun with another one, or other parts are screened with another one.
    """
    if not (folder / RELAX_MANIFEST).exists():
        write_json(make_folder(folder) / SCREEN, {"screen": screen})
    others = [path.parent for path in sorted(folder.parent.glob(f"*/{SCREEN}")) if screen_of(path.parent) is not None]
    for one in [folder, *(others if screen is not None else [])]:
        if (found := screen_of(one)) != screen:
            raise CryinGANError(
                f"{one} was begun with screen={found}, here it is {screen}: give an empty folder as work"
            )


def screen_of(folder: Path) -> float | None:
    """The screen of a part: highest energy that goes on, eV/atom; None where all do."""
    path = folder / SCREEN
    return json.loads(path.read_bytes())["screen"] if path.exists() else None


def goes_on(energy_per_atom: np.ndarray | float, converged: np.ndarray | bool, screen: float | None) -> np.ndarray:
    """Which structures go on to the potential of the build: the low ones, and those that found no minimum."""
    return np.logical_not(converged) | (energy_per_atom <= (np.inf if screen is None else screen))


def with_screened(part: Sequence[Relaxed], quick: Sequence[Relaxed], screen: float | None) -> list[Relaxed]:
    """The results of a part together with the structures that did not go on, which have no energy.

    While some of the part still wait, only the structures before the first of these count: all that is known of them is
    that their energy is low, and without them the share of low ones would be too small.

    Args:
        part: results with the potential of the build.
        quick: those of the quicker potential.
        screen: highest energy that goes on, eV/atom; None where all do.
    """
    if screen is None:
        return list(part)
    going = [bool(goes_on(one.energy_final / len(one.positions), one.converged, screen)) for one in quick]
    passed = {one.sample for one, on in zip(quick, going, strict=True) if on}
    waiting = min(passed - {one.sample for one in part}, default=np.inf)
    left = [_without_energy(one) for one, on in zip(quick, going, strict=True) if not on]
    return sorted((one for one in [*part, *left] if one.sample < waiting), key=lambda one: one.sample)


def _without_energy(one: Relaxed) -> Relaxed:
    unknown = dict.fromkeys(("energy_initial", "energy_final", "fmax"), np.nan)
    return one._replace(**unknown, steps=0, evaluations=0, converged=False, reason=SCREENED)
