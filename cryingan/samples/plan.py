"""How a set of samples is relaxed and judged."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cryingan.energies.data_card import DataCard, data_source, default_potential, read_data_card
from cryingan.energies.fractions import N_TRAINING, THRESHOLDS
from cryingan.errors import CryinGANError
from cryingan.relaxation.settings import REPAIR_DISTANCE, WHERE, RelaxSettings

log = logging.getLogger(__name__)

PROTOCOL = tuple(field.name for field in fields(RelaxSettings) if field.name not in {*WHERE, "frames"})
JUDGING = ("thresholds", "repair_distance", "n_training")
TRIAL = "potential=pair is only for trying things out: its energies mean nothing"
FIXED_IN_SET = "relax.fixed=%s, as %s was relaxed; relax.fixed=[] leaves all atoms free"


@dataclass(frozen=True)
class Plan:
    """How samples are relaxed and judged, in plain values that travel to other processes.

    Attributes:
        potential: arguments of `cryingan.potentials.potential.load_potential`.
        relax: fields of `cryingan.relaxation.settings.RelaxSettings`.
        training: the data set, as `cryingan.energies.data_card.data_source` gives it; None where it is unknown:
            energies are then eV/atom as the potential gives them, and there are no thresholds.
        thresholds: in J/m^2 for an interface, eV/atom for bulk.
        repair_distance: atoms closer than this are moved apart first, Angstrom.
        n_training: training structures that are relaxed for the zero where they are not at rest; 0: none.
        cache: folder for training energies; None for `.cryingan` beside the training structures.
        pictures: how many samples are drawn before and after.
        molecules: how many are also written as PDB.
        earlier: the scales of energies that these ones will stand beside, as `TrainingScale.record` gives them, with
            `where` they were found; another scale is refused.
        placed: whether samples lie where the training structures do; those of a training on translated ones do not.
    """

    potential: Mapping[str, Any]
    relax: Mapping[str, Any]
    training: Mapping[str, Any] | None = None
    thresholds: Sequence[float] = THRESHOLDS["bulk"]
    repair_distance: float = REPAIR_DISTANCE
    n_training: int = N_TRAINING
    cache: str | None = None
    pictures: int = 3
    molecules: int = 3
    earlier: Sequence[Mapping[str, Any]] = ()
    placed: bool = True

    @property
    def trial(self) -> str | None:
        """A line about a potential that is fitted to no material; None for any other."""
        return TRIAL if self.potential["kind"] == "pair" else None

    def summary_line(self) -> str:
        """What decides how relaxations end and how they are judged, on one line."""
        values = {name: self.relax[name] for name in PROTOCOL if name != "fire"}
        values |= {name: getattr(self, name) for name in JUDGING}
        return ", ".join(f"{name}={value}" for name, value in values.items())


def plan_as_in_run(settings: Mapping[str, Any], run: Mapping[str, Any], given: Collection[str] = ()) -> Plan:
    """Plan to relax samples as the run did that they are from, but for what the user has given.

    Args:
        settings: `potential`, `relax`, `training` (the data file), `cache`, `pictures`, `thresholds`,
            `repair_distance` and `n_training`. Of what decides how relaxations end, and of the last three, the values
            of the run hold; no `thresholds` are those that sets of this kind have.
        run: the config of the run; empty without one.
        given: keys whose values in `settings` hold nevertheless, such as `relax.fmax` or `thresholds`.

    Raises:
        CryinGANError: no potential is known, or the data card cannot be read.
    """
    data = run.get("data", {})
    path, card = settings["training"] or data.get("path"), data.get("card")
    types = settings.get("types") or data.get("types", ())
    potential = settings["potential"] or run.get("potential") or (path and default_potential(path, card))
    if not potential:
        raise CryinGANError("relax=true needs a potential, such as potential=m3gnet potential.path=FOLDER")
    relax, judging = run.get("relax", {}), run.get("callbacks", {}).get("relax", {})
    own = {key.split(".")[1] for key in given if key.startswith("relax.")}
    protocol = {name: relax[name] for name in PROTOCOL if name in relax and name not in own}
    relaxing = {**settings["relax"], **protocol}
    rule = fixed_in_set(relaxing, path, card) if path and "fixed" not in own else None
    if rule and (run or isinstance(rule, str)):  # numbers of atoms hold in the order of the set only
        log.info(FIXED_IN_SET, rule, path)
        relaxing["fixed"] = rule
    judged = {name: settings[name] if name in given else judging.get(name, settings[name]) for name in JUDGING}
    if judged["thresholds"] is None:
        judged["thresholds"] = (read_data_card(path, card) if path else DataCard()).thresholds
    return Plan(
        potential,
        relaxing,
        data_source(path, card, data.get("sort_species", False), types) if path else None,
        **judged,
        cache=settings["cache"],
        pictures=settings["pictures"],
        molecules=settings["pictures"],
        placed=not data.get("translate"),
    )


def fixed_in_set(relax: Mapping[str, Any], path: str | Path, card: str | Path | None = None) -> Any:
    """The rule for fixed atoms with which a built set was relaxed, where the settings name none.

    Args:
        relax: fields of `cryingan.relaxation.settings.RelaxSettings`; `fixed` of an empty list leaves all atoms free.
        path: the data file.
        card: its card; None for the one beside the data file.

    Raises:
        CryinGANError: the card cannot be read.
    """
    if relax.get("fixed") is not None:
        return None
    relaxation = (read_data_card(path, card).made or {}).get("relaxation")
    return relaxation.get("fixed") if isinstance(relaxation, Mapping) else None
