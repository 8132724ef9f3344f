"""Which atoms keep their places in relaxations: the rule of the key `relax.fixed`, applied to structures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.structures.crystals import Crystals

log = logging.getLogger(__name__)

BELOW = "below:"
ACROSS_FACE = 0.5  # Angstrom below the upper face, which count as below the lower one: layers at 0 lie on both sides


def canonical_rule(rule: Any) -> str | list[int | str] | None:
    """The rule in plain values, the same for all spellings of it: `below:Z`, a list, or None for no atom.

    Raises:
        CryinGANError: it is no rule.
    """
    wrong = CryinGANError(
        f"relax: fixed={rule!r} must be below:Z with a height in Angstrom, a list of atoms counted from 0 such as "
        "[0,1,2], or a list of species such as [Li]"
    )
    if rule is None:
        return None
    if isinstance(rule, str):
        try:
            height = float(rule.removeprefix(BELOW))
        except ValueError:
            raise wrong from None
        if not rule.startswith(BELOW) or not np.isfinite(height):
            raise wrong
        return f"{BELOW}{height}"
    items = rule.tolist() if isinstance(rule, np.ndarray) else rule
    if not isinstance(items, Sequence) or not all(_is_atom(item) or isinstance(item, str) for item in items):
        raise wrong
    atoms = sorted({int(item) for item in items if not isinstance(item, str)})
    return [*atoms, *sorted({item for item in items if isinstance(item, str)})] or None


def _is_atom(item: Any) -> bool:
    return isinstance(item, Integral) and not isinstance(item, bool) and item >= 0


def with_fixed(crystals: Crystals, rule: Any) -> Crystals:
    """The same structures with further atoms fixed, besides those that are fixed already.

    Args:
        crystals: structures.
        rule: `below:Z`: atoms whose height is below Z, Angstrom. Heights are measured along the normal of the first two
            lattice vectors, from the face of the cell through the origin; an atom within 0.5 Angstrom below the
            opposite face is below 0, too, as it belongs to a layer on the lower face. Or a list of atoms, counted from
            0, or of species. None for no further atoms.

    Raises:
        CryinGANError: it is no rule, or names an atom or a species that is not there.

    Example:
        >>> crystals = cryingan.Crystals([[[0, 0, 0.2], [0, 0, 0.7]]], [[8, 0, 0], [0, 8, 0], [0, 0, 8]], ["Li", "Cl"])
        >>> with_fixed(crystals, "below:3.0").fixed.all(axis=2)
        array([[ True, False]])
    """
    rule = canonical_rule(rule)
    if rule is None:
        return crystals
    if isinstance(rule, str):
        height = float(rule.removeprefix(BELOW))
        chosen = heights(crystals) < height
    else:
        chosen = np.broadcast_to(_listed(rule, crystals.species), crystals.fractional.shape[:2])
    if not chosen.any():
        log.warning("relax.fixed=%s fixes no atom of the structures", rule)
    fixed = np.repeat(chosen[:, :, None], 3, axis=2)
    return replace(crystals, fixed=fixed if crystals.fixed is None else fixed | crystals.fixed)


def warn_of_other_fixed(samples: Crystals, training: Crystals, rule: Any) -> None:
    """Warn where a rule of heights fixes other numbers of atoms in samples than in training structures.

    Args:
        samples: as generated.
        training: the structures that samples are compared with.
        rule: as for `with_fixed`.
    """
    rule = canonical_rule(rule)
    if not isinstance(rule, str):
        return
    height = float(rule.removeprefix(BELOW))
    of_samples, of_training = ((heights(some) < height).sum(axis=1) for some in (samples, training))
    outside = (of_samples < of_training.min()) | (of_samples > of_training.max())
    if outside.any():
        log.warning(
            "relax.fixed=%s fixes %s of %d atoms of the training structures, but %s in %d of %d samples: these relax "
            "otherwise, so their energies compare badly; a list of atoms or species fixes the same number in all",
            rule,
            _span(of_training),
            len(training.species),
            _span(of_samples[outside]),
            outside.sum(),
            len(samples),
        )


def heights(crystals: Crystals) -> np.ndarray:
    """Heights of atoms above the face of the first two lattice vectors, Angstrom, shape (structures, atoms)."""
    first, second, _ = crystals.cell
    between = abs(np.linalg.det(crystals.cell)) / np.linalg.norm(np.cross(first, second))
    above = crystals.fractional[:, :, 2] * between
    return np.where(above > between - ACROSS_FACE, above - between, above)


def _listed(rule: Sequence[int | str], species: Sequence[str]) -> np.ndarray:
    """Which atoms a list of atoms and species names, shape (atoms,)."""
    for item in rule:
        if isinstance(item, str) and item not in species:
            raise CryinGANError(
                f"relax: fixed={rule}: no atom is {item}; there are {', '.join(dict.fromkeys(species))}"
            )
        if not isinstance(item, str) and item >= len(species):
            raise CryinGANError(f"relax: fixed={rule}: there is no atom {item}; atoms are 0 to {len(species) - 1}")
    return np.array([atom in rule or symbol in rule for atom, symbol in enumerate(species)])


def report_fixed(crystals: Crystals) -> None:
    """Log how many atoms of the structures are fixed, if any are."""
    if crystals.fixed is None:
        return
    some, whole = crystals.fixed.any(axis=2).sum(axis=1), crystals.fixed.all(axis=2).sum(axis=1)
    atoms = len(crystals.species)
    fixed = f"{_span(whole)} of {atoms} atoms fixed"
    if (partly := some - whole).any():
        only = f"{_span(partly)}{' more' if whole.any() else f' of {atoms} atoms fixed'} in some directions only"
        fixed = f"{fixed}, {only}" if whole.any() else only
    log.info("relaxing with %s", fixed)
    if (whole == atoms).all():
        log.warning("all atoms are fixed: the structures stay as they are")


def _span(counts: np.ndarray) -> str:
    return str(counts.min()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
