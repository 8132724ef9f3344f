"""The data set of what a build has relaxed so far: which structures are kept."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.relaxation.journal import RELAX_MANIFEST, read_journal
from cryingan.relaxation.one_structure import FAILED, Relaxed
from cryingan.structures.constraints import fixed_directions
from cryingan.structures.contacts import contact_text, contacts
from data.interface.assembly import Interface
from data.interface.dataset import LEAST, RelaxedSet, crystals_of, energies_of, highest_kept
from data.interface.parts import any_structure, begun_parts, first_folder, part_folders, relaxed_first
from data.interface.screening import SCREENED, screen_of, with_screened

PROTOCOL = ("optimizer", "fmax", "max_steps")


def collect(interface: Interface, work: Path) -> RelaxedSet:
    """Collect what has been relaxed so far, and decide which structures are kept.

    Args:
        interface: interface of the structures.
        work: folder of the relaxations.

    Raises:
        CryinGANError: fewer than two have been relaxed, or are left without those that have contacts, or some that were
            screened would be kept.
    """
    ended, first = _ended(work, len(interface.order))
    energies = energies_of(ended, len(interface.order))
    cutoff = _cutoff(ended, energies, interface.system.kept, work)
    manifest = json.loads((begun_parts(work)[0] / RELAX_MANIFEST).read_bytes())
    how = {key: manifest["settings"][key] for key in PROTOCOL}
    if rule := manifest["settings"].get("fixed"):
        how["fixed"] = rule
    fixed = fixed_directions(next(filter(None, map(any_structure, part_folders(work)))))
    found = contacts(crystals_of(interface, ended, fixed))
    kept = (energies <= cutoff) & ~np.array(list(map(bool, found)))
    if kept.sum() < LEAST:
        closest = contact_text(next(filter(None, found))[:1])
        low = f"of {(energies <= cutoff).sum()} structures below the cut-off {kept.sum()} are"
        raise CryinGANError(f"{work}: {low} without anions that are too close (such as {closest}), too few for a set")
    screens = {screen_of(before) for folder in part_folders(work) if (before := first_folder(folder))} - {None}
    screen = next(iter(screens), None)  # a build has one
    return RelaxedSet(interface, ended, manifest["potential"], kept, cutoff, found, how, fixed, first, screen)


def _ended(work: Path, n_atoms: int) -> tuple[list[Relaxed], dict[tuple[str, str], list[Relaxed]]]:
    """The results of all parts, and those of each quicker potential for structures among them."""
    ended: list[Relaxed] = []
    first: defaultdict[tuple[str, str], list[Relaxed]] = defaultdict(list)
    for folder in part_folders(work):
        part = [relaxed for relaxed in read_journal(folder, n_atoms) if relaxed.reason != "time"]
        if (before := relaxed_first(folder, n_atoms)) is not None:
            quicker, quick = before
            part = with_screened(part, quick, screen_of(first_folder(folder)))
            numbers = {one.sample for one in part}
            first[quicker] += (quick := [one for one in quick if one.sample in numbers])
            able = {one.sample for one in quick if one.reason not in FAILED}
            part = [one._replace(energy_initial=np.nan) if one.sample in able else one for one in part]
        ended += part
    return ended, first


def _cutoff(ended: list[Relaxed], energies: np.ndarray, share: float, work: Path) -> float:
    """The cut-off that keeps a share of the structures, eV/atom; CryinGANError where too few have an energy."""
    known, reasons = np.isfinite(energies).sum(), Counter(one.reason for one in ended)
    if known < LEAST:
        listed = ", ".join(f"{n} {reason}" for reason, n in reasons.items())
        raise CryinGANError(
            f"{work}: {known} structures are relaxed ({listed or 'none tried'}), too few for a data set"
        )
    cutoff = highest_kept(energies, share, reasons[SCREENED])
    if np.isfinite(cutoff):
        return cutoff
    found = f"{known} structures are relaxed and {reasons[SCREENED]} screened, so the lowest {share:.0%} are not known"
    raise CryinGANError(f"{work}: {found}: build with a higher screen in an empty folder")
