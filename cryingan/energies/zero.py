"""The energy that counts as zero where the data card has no cut-off: a rule over training structures at rest."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.energies.data_card import DataCard
from cryingan.energies.fractions import N_TRAINING
from cryingan.energies.training_energies import structures_hash, training_energies, training_forces
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import Potential
from cryingan.relaxation.fixed import with_fixed
from cryingan.relaxation.relax import RelaxationResults, relax
from cryingan.relaxation.settings import RelaxSettings
from cryingan.storage.atomic import make_folder
from cryingan.storage.hashes import settings_hash
from cryingan.storage.locks import lock_cache, lock_folder
from cryingan.structures.crystals import Crystals

log = logging.getLogger(__name__)

MARGIN = 1e-3  # eV/Angstrom above fmax; files round coordinates, and single precision differs between devices
ONE_MINIMUM = 1e-3  # eV/atom; structures of a disordered solid differ by more
SAME_MINIMUM = 1e-4  # eV/atom; two relaxations to relax.fmax that end in the same minimum differ by less
CHOICE = 0  # seed; one for all runs, whose energies then compare


@dataclass(frozen=True, eq=False)
class Zero:
    """The energy that counts as zero, by the rule of a data card.

    Attributes:
        energy: eV/atom.
        rule: of the card, with `relaxed` before it where the structures that it is applied to are at rest.
        energies: of these structures, eV/atom, shape (structures,).
        of_relaxed: whether relaxed samples may be compared with it.
        relaxed: how many structures were to be relaxed, where they were not at rest.
        settings: how these are relaxed, in plain values.
    """

    energy: float
    rule: str
    energies: np.ndarray
    of_relaxed: bool
    relaxed: int
    settings: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """Where the zero comes from, in plain values."""
        return {"rule": self.rule, "n_training": self.relaxed, "settings": dict(self.settings)}


def zero_by_rule(
    card: DataCard,
    training: Crystals,
    potential: Potential,
    cache: str | Path,
    settings: RelaxSettings,
    n_training: int | None = N_TRAINING,
) -> Zero:
    """The zero for relaxed samples: the rule of the card over energies of training structures at rest.

    A structure is at rest when no force exceeds `settings.fmax` by more than 0.001 eV/Angstrom. Where at least half of
    the structures are, the others are left out. Else some of them are relaxed: structures from dynamics or with
    displaced atoms lie above anything that is relaxed, good or bad. Where fewer than half of these converge there is
    no zero for relaxed samples. The atoms that `settings.fixed` names are fixed, as in samples, and no others.

    Args:
        card: of the data set.
        training: its structures.
        potential: what gives the energies.
        cache: folder that keeps energies, forces and relaxed structures; a call after a kill resumes.
        settings: how samples are relaxed, and where.
        n_training: how many structures are relaxed; 0: none. None: the rule is applied to all structures as they are,
            as version 0.1.0 did.

    Raises:
        CryinGANError: the potential does not know an element, or an energy is not finite.
    """

    def zero(energies: np.ndarray, of_relaxed: bool) -> Zero:
        rule = f"relaxed {card.rule}" if of_relaxed else card.rule
        energy = card.cutoff_by_rule(energies)
        return Zero(energy, rule, energies, of_relaxed or n_training is None, n_training or 0, settings.protocol)

    training = with_fixed(replace(training, fixed=None), settings.fixed)  # as samples, which know no other fixed atoms
    if n_training is None:
        return zero(training_energies(training, potential, cache, settings), of_relaxed=False)
    energies, forces = training_forces(training, potential, cache, settings)
    at_rest, name = forces <= settings.fmax + MARGIN, potential.card.name
    moving = (
        f"{(~at_rest).sum()} of {len(training)} training structures are not at rest with {name} (forces up to "
        f"{forces.max():.3g} eV/Angstrom, relax.fmax={settings.fmax:g})"
    )
    if 2 * at_rest.sum() >= len(training):
        if not at_rest.all():
            log.warning("%s: the zero of energies is the %s of the others", moving, card.rule)
        return zero(energies[at_rest], of_relaxed=True)
    n = min(n_training, len(training))
    if n:
        log.warning("%s: the zero of energies is the %s of %d of them, relaxed", moving, card.rule, n)
        relaxed = _relaxed(training, potential, Path(cache), settings, n)
        if 2 * relaxed.converged.sum() >= n:
            energies = relaxed.energy_final[relaxed.converged] / len(training.species)
            _warn_of_one_minimum(energies)
            return zero(energies, of_relaxed=True)
        moving = f"{relaxed.converged.sum()} of {n} training structures could be relaxed with {name}"
        moving += _what_to_raise(relaxed, settings)
    log.warning(
        "%s: no zero for relaxed samples, so no thresholds; energies are relative to the %s of the training structures "
        "as they are (docs/relaxation.md, Which energy counts as zero)",
        moving,
        card.rule,
    )
    return zero(energies, of_relaxed=False)


def _warn_of_one_minimum(energies: np.ndarray) -> None:
    """Say where relaxed structures of these energies, eV/atom, tell little: all or half are in one minimum."""
    above = np.sort(energies - energies.min())
    half = above[(len(above) - 1) // 2]
    if len(above) < 2 or (above[-1] > ONE_MINIMUM and half > SAME_MINIMUM):
        return
    which, range_ = (
        (f"all {len(above)}", above[-1]) if above[-1] <= ONE_MINIMUM else (f"half of the {len(above)}", half)
    )
    log.warning(
        "%s relaxed training structures end within %.2f meV/atom, in one minimum, as those of a crystal do: thresholds "
        "near 0 tell whether a sample has reached that minimum (docs/relaxation.md, Which energy counts as zero)",
        which,
        1000 * range_,
    )


def _what_to_raise(relaxed: RelaxationResults, settings: RelaxSettings) -> str:
    """Why relaxations did not end at rest, and the setting that would let them; none where no setting does."""
    stopped = (relaxed.reason == "max_steps").sum()
    if not stopped:
        return f" ({', '.join(sorted(set(relaxed.reason[~relaxed.converged])))})"
    return (
        f" ({stopped} ran out of relax.max_steps={settings.max_steps}: raise it, such as to {4 * settings.max_steps})"
    )


def _relaxed(
    training: Crystals, potential: Potential, cache: Path, settings: RelaxSettings, n: int
) -> RelaxationResults:
    """Relax `n` structures, always the same ones, once for each data set, potential and way of relaxing."""
    settings = replace(settings, frames=0, time_budget=None)
    chosen = np.sort(np.random.default_rng(CHOICE).permutation(len(training))[:n])
    source = structures_hash(training)
    how = settings_hash({"settings": settings.protocol, "n": n})
    folder = cache / f"relaxed-{source[:16]}-{potential.card.hash[:16]}-{how[:16]}"
    with lock_cache(folder, f"relaxes training structures ({folder})"):
        try:
            with lock_folder(make_folder(folder)):  # may be that of a colleague, who alone can write there
                pass
        except CryinGANError as error:
            log.warning("%s; it will all be computed again next time", error)
            return relax(training[chosen], potential, settings)
        return relax(training[chosen], potential, settings, output=folder, numbers=chosen, source=source)
