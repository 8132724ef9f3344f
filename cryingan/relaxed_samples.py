"""From samples in a folder to their relaxed energies: repaired, relaxed, compared with the training structures."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.crystals import Crystals
from cryingan.data_cards import DataCard, read_data_card
from cryingan.energies import EnergyScale, energy_scale, training_energies
from cryingan.errors import CryinGANError
from cryingan.files import extxyz_frames, read_structures, write_structures
from cryingan.journal import MANIFEST
from cryingan.potentials import load_potential
from cryingan.relax import relax
from cryingan.relaxed_report import Outcome, draw, write_rows
from cryingan.repair import repair
from cryingan.replace import make_folder, replace_file

SAMPLES, REPAIRED, RELAXED, SUMMARY = "samples.extxyz", "repaired.extxyz", "relaxed.extxyz", "summary.json"
CELL_TOLERANCE = 1e-3  # Angstrom
TRAINING_SHOWN = 200  # training structures in the figure, where the data card makes the energies of all unnecessary


@dataclass(frozen=True)
class Plan:
    """How samples are relaxed and judged, in plain values that travel to other processes.

    Attributes:
        potential: arguments of `cryingan.potentials.load_potential`.
        relax: arguments of `cryingan.relax.relax`.
        training: the training structures as `path`, `sort_species` and `indices` in the file; None where they are
            unknown: energies are then eV/atom as the potential gives them, and there are no thresholds.
        thresholds: in J/m^2 for an interface, eV/atom for bulk.
        repair_distance: atoms closer than this are moved apart first, Angstrom.
        cache: folder for training energies; None for `.energies` beside the training structures.
        pictures: how many samples are drawn before and after.
        molecules: how many are also written as PDB.
    """

    potential: Mapping[str, Any]
    relax: Mapping[str, Any]
    training: Mapping[str, Any] | None = None
    thresholds: Sequence[float] = (0.0, -0.2)
    repair_distance: float = 1.5
    cache: str | None = None
    pictures: int = 3
    molecules: int = 3


class SampleRelaxer:
    """Relaxes the samples of one folder after the other with one loaded potential.

    Args:
        plan: how.

    Raises:
        CryinGANError: the potential cannot be loaded or does not know an element, or the training structures cannot be
            read.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.potential = load_potential(**plan.potential)
        if plan.training is not None:
            self.potential.evaluate(self._training[:1].to_ase())  # an unknown element is refused now

    def __call__(self, folder: str | Path) -> dict[str, float]:
        """Relax `samples.extxyz` in a folder; everything else there comes from it, `summary.json` last.

        The folder then holds repaired.extxyz (all samples), relax.csv and relaxed.extxyz (those that could be
        repaired), energies.csv (a row per sample), energies.png, and pictures and PDB files of some samples before and
        after. Called again, it goes on where it stood, and relaxes nothing twice.

        Returns:
            The values that a training logs, by name; see `cryingan.relaxed_report.values`.

        Raises:
            CryinGANError: the folder holds relaxations with another potential or settings, or cannot be written.
        """
        folder = Path(folder)
        start = time.monotonic()
        outcome = self._relax(folder)
        write_rows(outcome, folder)
        draw(outcome, self._training_values, folder, self.plan.pictures, self.plan.molecules)
        summary = {
            "values": outcome.values(),
            "samples": len(outcome.samples),
            "unit": self._scale.unit,
            "zero_ev_per_atom": self._scale.zero,
            "potential": self._scale.potential.name,
            "potential_hash": self._scale.potential.hash,
            "seconds": round(time.monotonic() - start, 1),
        }
        with replace_file(folder / SUMMARY) as file:
            file.write(json.dumps(summary, indent=1).encode())
        return summary["values"]

    def _relax(self, folder: Path) -> Outcome:
        samples = read_structures(folder / SAMPLES, closest=0)
        self._require_comparable(samples, folder)
        repaired, repairs = repair(samples, self.plan.repair_distance)
        write_structures(repaired, folder / REPAIRED)
        accepted = np.flatnonzero(repairs.accepted)
        results = relax(repaired[accepted], self.potential, output=folder, numbers=accepted, **self.plan.relax)
        per_atom = results.energy_final / len(samples.species)
        energies = self._scale.normalise(per_atom, results.potential, results.converged)
        thresholds = () if self.plan.training is None else self.plan.thresholds
        return Outcome(samples, repairs, results, energies, tuple(thresholds))

    def _require_comparable(self, samples: Crystals, folder: Path) -> None:
        """The energy scale is that of the training structures: others have no place on it."""
        if self.plan.training is None:
            return
        training = self._training
        same_cell = np.allclose(training.cell, samples.cell, atol=CELL_TOLERANCE)
        if training.counts != samples.counts or not same_cell:
            what = "cell" if training.counts == samples.counts else f"composition ({samples.counts})"
            raise CryinGANError(
                f"{folder / SAMPLES} has another {what} than the training structures ({training.counts}); their "
                "energies cannot be compared"
            )

    @cached_property
    def _training(self) -> Crystals:
        source = self.plan.training
        return read_structures(source["path"], sort_species=source["sort_species"])[source["indices"]]

    @cached_property
    def _scale(self) -> EnergyScale:
        if self.plan.training is None:
            return EnergyScale(0.0, 1.0, "eV/atom", self.potential.card)
        return energy_scale(self._card, self._training, self.potential, self._cache)

    @cached_property
    def _training_values(self) -> np.ndarray | None:
        """Energies of training structures on the same scale, of all unless the card spares us that."""
        if self.plan.training is None:
            return None
        shown = self._training
        if self._card.cutoff(self.potential.card) is not None and len(shown) > TRAINING_SHOWN:
            shown = shown[np.linspace(0, len(shown) - 1, TRAINING_SHOWN).astype(int)]
        energies = training_energies(shown, self.potential, self._cache)
        return self._scale.normalise(energies, self.potential.card).values

    @cached_property
    def _card(self) -> DataCard:
        return read_data_card(self.plan.training["path"])

    @property
    def _cache(self) -> Path:
        return Path(self.plan.cache or Path(self.plan.training["path"]).parent / ".energies")


def read_summary(folder: str | Path) -> dict[str, Any] | None:
    """What summary.json says of a folder whose samples have all been relaxed; None before that."""
    path = Path(folder) / SUMMARY
    return json.loads(path.read_bytes()) if path.exists() else None


def store_samples(samples: Crystals, folder: str | Path) -> None:
    """Write samples.extxyz into a folder for `SampleRelaxer`, unless they are there already.

    Raises:
        CryinGANError: the folder holds what came of other samples, or cannot be written.
    """
    path = make_folder(folder) / SAMPLES
    text = b"".join(extxyz_frames(samples))
    if path.exists() and path.read_bytes() == text:
        return
    if (path.parent / MANIFEST).exists():
        raise CryinGANError(f"{folder} holds relaxations of other samples: give an empty folder")
    with replace_file(path) as file:
        file.write(text)
