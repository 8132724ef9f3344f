"""What relaxed samples are compared with: the structures of a data set, their energies and its energy scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.energies.data_card import card_path, read_data_card, read_random_energies
from cryingan.energies.fractions import N_TRAINING
from cryingan.energies.scale import ENERGY_UNITS, EnergyScale, energy_scale
from cryingan.energies.training_energies import training_energies
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import Potential
from cryingan.relaxation.settings import RelaxSettings
from cryingan.storage.cache import cache_folder
from cryingan.structures.checks import COMPARABLE_CELL
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures

SAME_ENERGY = 1e-4  # eV/atom; another device or batch size changes an energy by less
RECORD = ("potential", "potential_hash", "unit", "zero_ev_per_atom", "factor", "zero")
CUTOFF = {"rule": "cut-off of the data card"}
AS_THEY_ARE = {"n_training": None}  # of version 0.1.0, which kept nothing about it
TRAINING_SHOWN = 200  # training structures in the figure when the data card has the cut-off


class TrainingScale:
    """The energy scale of a data set for one potential.

    All structures of the file count, so that the scale does not depend on which of them a run holds out.

    Args:
        source: the data set, as `data_source` gives it; None when it is unknown: energies are then eV/atom as the
            potential gives them.
        potential: what gives the energies.
        cache: folder for the energies of the training structures; None for `.cryingan` beside them.
        settings: how structures are relaxed, and where.
        n_training: training structures that are relaxed for the zero where they are not at rest; 0: none.
        earlier: the scales of energies that these ones will stand beside, each a `record` or the part of one that was
            known, and `where` it was found. The zero is taken in the same way; another zero is refused.

    Raises:
        CryinGANError: the training structures or their card cannot be read, or the potential does not know an element.
    """

    def __init__(
        self,
        source: Mapping[str, Any] | None,
        potential: Potential,
        cache: str | None = None,
        settings: RelaxSettings | None = None,
        n_training: int = N_TRAINING,
        earlier: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        if not isinstance(n_training, int) or n_training < 0:
            raise CryinGANError(f"n_training={n_training} must be a whole number, 0 for none")
        self.potential, self.settings = potential, settings or RelaxSettings()
        self.n_training, self.as_earlier = n_training, self._as_earlier(earlier)
        self.structures = self.cutoff = self.random_energies = None
        if source is not None:
            path, card = Path(source["path"]), source.get("card")
            self.structures = read_structures(path, sort_species=source["sort_species"], types=source.get("types", ()))
            self.card, self.cache = read_data_card(path, card), Path(cache or cache_folder(path))
            self.cutoff = self.card.cutoff(potential.card)
            if self.cutoff and self.cutoff.random:
                self.random_energies = read_random_energies(Path(card or card_path(path)).parent / self.cutoff.random)
            potential.evaluate(self.structures[:1].to_ase())  # an unknown element is refused now
        for record in earlier:
            self._require_same(record)

    @cached_property
    def scale(self) -> EnergyScale:
        """The scale. Evaluates every training structure unless the card has the cut-off or the cache the energies.

        Where these are not at rest, some are relaxed, as `cryingan.energies.zero.zero_by_rule` says.
        """
        if self.structures is None:
            return EnergyScale(0.0, 1.0, ENERGY_UNITS["bulk"], self.potential.card)
        settings, n_training = self.settings, self.n_training
        if self.as_earlier is not None:
            n_training = self.as_earlier.get("n_training", n_training)
            settings = RelaxSettings.from_mapping({**asdict(settings), **self.as_earlier.get("settings", {})})
        return energy_scale(self.card, self.structures, self.potential, self.cache, settings, n_training)

    @property
    def of_relaxed(self) -> bool:
        """Whether relaxed samples can be compared with thresholds on this scale."""
        return self.structures is not None and (self.scale.by_rule is None or self.scale.by_rule.of_relaxed)

    @cached_property
    def shown(self) -> np.ndarray | None:
        """Energies of training structures on the scale: those that set the zero, or 200 if the card has the cut-off.

        None without training structures.
        """
        if self.structures is None:
            return None
        if self.scale.by_rule is not None:
            return self.scale.normalise(self.scale.by_rule.energies, self.potential.card).values
        chosen = self.structures
        if len(chosen) > TRAINING_SHOWN:
            chosen = chosen[np.linspace(0, len(chosen) - 1, TRAINING_SHOWN).astype(int)]
        energies = training_energies(chosen, self.potential, self.cache, self.settings)
        return self.scale.normalise(energies, self.potential.card).values

    @cached_property
    def random(self) -> np.ndarray | None:
        """Energies of random structures on the scale, NaN for none; None if the data card has none."""
        if self.random_energies is None:
            return None
        return self.scale.normalise(self.random_energies, self.potential.card).values

    def known(self) -> dict[str, Any]:
        """Potential, its hash and the unit, which are known before any energy is computed."""
        card = self.potential.card
        unit = ENERGY_UNITS["bulk" if self.structures is None else self.card.kind]
        return {"potential": card.name, "potential_hash": card.hash, "unit": unit}

    def record(self) -> dict[str, Any]:
        """The scale in plain values, as relaxed.json has it."""
        record = {**self.known(), "zero_ev_per_atom": self.scale.zero, "factor": self.scale.factor}
        if self.structures is None or self.as_earlier == AS_THEY_ARE:
            return record
        return {**record, "zero": self.scale.by_rule.record() if self.scale.by_rule else CUTOFF}

    @staticmethod
    def _as_earlier(earlier: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """How the zero of earlier energies was taken; None where there is none."""
        zeros = [record.get("zero", AS_THEY_ARE) for record in earlier if "zero_ev_per_atom" in record]
        return AS_THEY_ARE if AS_THEY_ARE in zeros else next(iter(zeros), None)

    def _require_same(self, earlier: Mapping[str, Any]) -> None:
        """Refuse to continue beside energies on another scale; the message names both, and what can be done."""
        now = self.known()
        if all(earlier.get(name, value) == value for name, value in now.items()):
            if "zero_ev_per_atom" not in earlier:
                return
            now = self.record()
            same_zero = abs(earlier["zero_ev_per_atom"] - now["zero_ev_per_atom"]) <= SAME_ENERGY
            if same_zero and np.isclose(earlier.get("factor", now["factor"]), now["factor"]):
                return
        raise CryinGANError(
            f"{earlier['where']} has energies in {_described(earlier)}, now they would be in {_described(now)}: they "
            "cannot be mixed; use the same potential and data card again, or another run_dir"
        )

    def require_comparable(self, samples: Crystals, where: str | Path) -> None:
        """Refuse samples whose energies cannot be compared on this scale.

        Raises:
            CryinGANError: their cell or composition is not that of the training structures.
        """
        training = self.structures
        if training is None:
            return
        same_cell = np.allclose(training.cell, samples.cell, atol=COMPARABLE_CELL)
        if training.counts != samples.counts or not same_cell:
            what = "cell" if training.counts == samples.counts else f"composition ({samples.counts})"
            raise CryinGANError(
                f"{where} has another {what} than the training structures ({training.counts}); their energies cannot "
                "be compared"
            )


def _described(record: Mapping[str, Any]) -> str:
    text = f"{record['unit']} of {record['potential']} ({record['potential_hash'][:12]})"
    if "zero_ev_per_atom" in record:
        text += f", zero at {record['zero_ev_per_atom']:.6g} eV/atom"
    return text + (f", {record['factor']:.6g} {record['unit']} per eV/atom" if record.get("factor", 1.0) != 1.0 else "")
