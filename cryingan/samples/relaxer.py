"""Repair and relax the samples of a folder, and compare their energies with those of the training structures."""

from __future__ import annotations

import logging
import time
import traceback
from functools import cached_property
from pathlib import Path

import numpy as np

from cryingan.energies.training_scale import TrainingScale
from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.metrics.region_reference import RegionReference
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.fixed import warn_of_other_fixed, with_fixed
from cryingan.relaxation.relax import relax_marked
from cryingan.relaxation.repair import repair
from cryingan.relaxation.settings import RelaxSettings
from cryingan.samples.folder import ERROR, RELAX_SUMMARY, REPAIRED, SAMPLES, set_results_aside, write_error
from cryingan.samples.plan import Plan
from cryingan.samples.report import Outcome, draw, write_reference, write_rows
from cryingan.samples.set_comparison import SetComparison
from cryingan.storage.atomic import write_json
from cryingan.storage.fraction_keys import fraction_key
from cryingan.storage.hashes import file_hash
from cryingan.storage.locks import lock_folder
from cryingan.storage.text import in_one_line
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures

log = logging.getLogger(__name__)


class SampleRelaxer:
    """Relaxes the samples of one folder after the other with one loaded potential.

    Args:
        plan: how.

    Attributes:
        scale: the energy scale of the training structures.

    Raises:
        CryinGANError: the potential cannot be loaded or does not know an element, the training structures or their card
            cannot be read, or energies would be on another scale than `plan.earlier`.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.potential = load_potential(**plan.potential)
        self.settings = RelaxSettings.from_mapping(plan.relax)
        self.scale = TrainingScale(
            plan.training, self.potential, plan.cache, self.settings, plan.n_training, plan.earlier
        )

    def prepare(self) -> None:
        """Compute the energies of the training structures, and relax some if need be, unless they are known."""
        _ = self.scale.scale, self.scale.shown

    @cached_property
    def comparison(self) -> SetComparison:
        """What relaxed samples are compared with."""
        scale, region, placed = self.scale, None, self.plan.placed
        if scale.structures is not None and placed:
            region = RegionReference.of(scale.structures)
        shown = scale.shown if scale.of_relaxed else None
        return SetComparison(scale.known()["unit"], shown, scale.random, region, placed)

    def __call__(self, folder: str | Path) -> dict[str, float]:
        """Relax `samples.extxyz` in a folder; everything else there comes from it, `relaxed.json` last.

        The folder then holds repaired.extxyz (all samples), relax.csv and relaxed.extxyz (those that could be
        repaired), energies.csv (a row per sample), reference_energies.csv (of training and random structures),
        energies.png, and pictures and PDB files of some samples before and after. Called again, it resumes, and relaxes
        nothing twice.

        Returns:
            The values that a training logs, by name; see `cryingan.samples.report.Outcome.values` and
            `cryingan.samples.set_comparison.SetComparison.values`.

        Raises:
            OtherResultsError: the folder holds relaxations with another potential or other settings.
            CryinGANError: the samples have no place on the energy scale, another process is at work there, or
                it cannot be written.
        """
        folder = Path(folder)
        samples = read_structures(folder / SAMPLES, closest=0, not_finite=True)
        self.scale.require_comparable(samples, folder / SAMPLES)
        self.prepare()  # errors come before hours of relaxing
        start = time.monotonic()
        with lock_folder(folder, patient=True):
            outcome = self._relax(samples, folder)
            write_rows(outcome, folder)
            random, thresholds = self.scale.random, outcome.thresholds
            write_reference(folder, self.scale.shown, random)
            draw(outcome, folder, self.plan.pictures, self.plan.molecules, self.scale.shown, random)
            below = {fraction_key(t): float((random <= t).mean()) for t in thresholds if random is not None}
            summary = {
                "values": outcome.values() | self.comparison.values(outcome),
                "samples": len(outcome.samples),
                "random": below,
                "training": self.comparison.of_training(len(outcome.samples), thresholds),
                "quantiles": self.comparison.quantiles,
                **self.scale.record(),
                "time_budget": self.settings.time_budget,
                "seconds": round(time.monotonic() - start, 1),
            }
            write_json(folder / RELAX_SUMMARY, summary)
        return summary["values"]

    def attempt(self, folder: Path) -> str | None:
        """Relax a folder, whatever happens; results with other settings are set aside.

        Returns:
            None, or in one line why it cannot be done. The folder's `error.txt` then says so, too, with the traceback
            of an unexpected error.
        """
        try:
            try:
                self(folder)
            except OtherResultsError:
                aside = set_results_aside(folder).name
                log.warning("%s: results of other settings are now in %s; the samples are relaxed anew", folder, aside)
                self(folder)
        except CryinGANError as reason:
            error, more = str(reason), ""
        except Exception as reason:
            error, more = (
                f"{type(reason).__name__}: {in_one_line(reason)} (see {folder / ERROR})",
                traceback.format_exc(),
            )
        else:
            return None
        write_error(folder, f"{error}\n{more}")
        return error

    def _relax(self, samples: Crystals, folder: Path) -> Outcome:
        if self.scale.structures is not None:
            warn_of_other_fixed(samples, self.scale.structures, self.settings.fixed)
        samples = with_fixed(samples, self.settings.fixed)
        repaired, repairs = repair(samples, self.plan.repair_distance)
        write_structures(repaired, folder / REPAIRED)
        accepted = np.flatnonzero(repairs.accepted)
        source = f"{file_hash(folder / SAMPLES)}, repaired to {self.plan.repair_distance:g} Angstrom"
        into = {"output": folder, "numbers": accepted, "source": source}
        results = relax_marked(repaired[accepted], self.potential, self.settings, **into)
        per_atom = results.energy_final / len(samples.species)
        energies = self.scale.scale.normalise(per_atom, results.potential, results.converged)
        thresholds = self.plan.thresholds if self.scale.of_relaxed else ()
        return Outcome(samples, repairs, results, energies, tuple(thresholds))
