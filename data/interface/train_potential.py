"""Train an M3GNet: `python -m data.interface.train_potential system=NAME`, or `labelled=FILE.extxyz folder=FOLDER`.

The labels are those of the frames that `data.interface.build` keeps of each relaxation, or those of your own file.
`start=FOLDER` trains an existing M3GNet further: docs/potential.md. A killed training resumes after its last finished
epoch when it is started again.
"""

from __future__ import annotations

import copy
import json
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import make_folder, replace_folder, write_json
from cryingan.storage.locks import lock_folder
from data.command import run_command
from data.interface.parts import require_system
from data.interface.potential_training.claim import METRICS, claim, claimed_extensions
from data.interface.potential_training.frames import LabelledFrames, frames_of_file, frames_of_relaxations
from data.interface.potential_training.settings import TrainPotentialSettings
from data.interface.systems import read_system, system_path

if TYPE_CHECKING:
    from data.interface.potential_training.model import Student
    from data.interface.potential_training.record import Schedule, Trained

OUTPUT = r"model\.(pt|json)|state\.pt|card\.json|metrics\.json|README\.md|(learning_curves|parity)\.png|comparison\..*"
REFERENCES = 3
STAGE = ("hash", "sets", "trials", "training")  # keys of metrics.json that later trainings keep of an earlier one
Sets = Mapping[str, LabelledFrames]


def train(settings: TrainPotentialSettings) -> Path:
    """Train a potential and write it with its card; resumes where an earlier call stopped.

    Returns:
        The folder of the potential.

    Raises:
        CryinGANError: the frames or the settings cannot be used, `work` holds another training, the time is over before
            the trials are, or the loss is no longer finite.
    """
    deadline = None if settings.minutes is None else time.monotonic() + 60 * settings.minutes
    if settings.system is not None:
        extended = claimed_extensions(settings.work_folder, settings.build_folder)
        frames = frames_of_relaxations(settings.build_folder, extended)
        require_system(settings.build_folder, read_system(system_path(settings.system)))
    else:
        wanted = {"label_keys": settings.label_keys, "stresses": settings.weights["stress"] > 0}
        extended, frames = [], frames_of_file(str(settings.labelled), settings.structure_key, **wanted)
    work = make_folder(settings.work_folder)
    with lock_folder(work):
        sets = {name: frames.of(structures) for name, structures in claim(work, settings, frames, extended).items()}
        numbers = ", ".join(f"{len(one)} {name}" for name, one in sets.items())
        print(f"frames: {numbers}", file=sys.stderr, flush=True)
        student = new_or_started(settings, sets)
        trials, trained = run(settings, student, sets, work, deadline)
        write(settings, student, sets, trials, trained)
    return settings.output


def run(
    settings: TrainPotentialSettings, student: Student, sets: Sets, work: Path, deadline: float | None
) -> tuple[list[Trained], Trained]:
    """Run the trials, then the training with the learning rate and batch size of the best trial.

    Raises:
        CryinGANError: a setting cannot be used, time is over before the trials are, or the loss stops being a number.
    """
    from cryingan.devices import resolve_device
    from data.interface.potential_training.graphs import make_graphs
    from data.interface.potential_training.training import fit

    device, beginning = resolve_device(settings.device), copy.deepcopy(student.model.state_dict())
    graphs = {name: make_graphs(sets[name], student.types, student.model.cutoff) for name in ("training", "validation")}

    def one(schedule: Schedule) -> Trained:
        title = f"learning rate {schedule.learning_rate:g}, batch size {schedule.batch_size}"
        folder = f"rate{schedule.learning_rate:g}_batch{schedule.batch_size}_epochs{schedule.epochs}"
        left = None if deadline is None else timedelta(seconds=max(1e-3, deadline - time.monotonic()))
        student.model.load_state_dict(beginning)
        return fit(student, graphs, schedule, make_folder(work / folder), device=device, time_limit=left, title=title)

    trials = []
    for rate, size in settings.tried if settings.trials else []:
        trials.append(one(_schedule(settings, sets, rate, size, settings.trial_epochs or settings.epochs)))
        if not trials[-1].finished:
            raise CryinGANError("time is over before the trials are; the same command resumes")
    rate, size = settings.tried[0]
    if trials:
        good = [trial for trial in trials if not trial.diverged]
        if not good:
            raise CryinGANError(f"all trials diverged: lower the learning rates, trials={settings.trials}")
        best = min(good, key=lambda trial: trial.best["validation/loss"]).schedule
        rate, size = best.learning_rate, best.batch_size
    trained = one(_schedule(settings, sets, rate, size, settings.epochs))
    if trained.diverged:
        raise CryinGANError(f"the loss stopped being a number: lower learning_rate={rate:g}")
    return trials, trained


def new_or_started(settings: TrainPotentialSettings, sets: Sets) -> Student:
    """The model that the training starts from; the same for the same settings."""
    from data.interface.potential_training.model import Size, new_student, started_student

    if settings.start:
        return started_student(settings.start, sets["training"])
    try:
        size = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Size), settings.model))
    except OmegaConfBaseException as error:
        raise CryinGANError(f"model: {str(error).splitlines()[0]}") from error
    return new_student(sets["training"], size, settings.seed)


def _schedule(settings: TrainPotentialSettings, sets: Sets, rate: float, size: int, epochs: int) -> Schedule:
    from data.interface.potential_training.record import Schedule

    weights = settings.weights
    stress = 0.0 if sets["training"].stresses is None else weights["stress"]
    return Schedule(rate, size, epochs, (weights["energy"], weights["force"], stress), settings.seed)


def write(
    settings: TrainPotentialSettings, student: Student, sets: Sets, trials: list[Trained], trained: Trained
) -> None:
    """Write the potential with card, metrics, figures and README, all at once."""
    from cryingan.potentials.m3gnet.potential import write_card
    from cryingan.potentials.potential import load_potential
    from data.interface.potential_training.errors import errors_of
    from data.interface.potential_training.model import write_model
    from data.interface.potential_training.report import draw, write_readme

    test = sets["test"]
    chosen = np.unique(np.linspace(0, len(test) - 1, REFERENCES).astype(int))
    name = settings.name or f"M3GNet-{settings.stem}"
    make_folder(settings.output.parent)
    with replace_folder(settings.output, OUTPUT) as folder:
        write_model(student, trained.state, folder)
        try:
            write_card(folder, name, [test.atoms[i] for i in chosen], student.convention)
        except CryinGANError as error:
            raise CryinGANError(f"training has not come far enough, give it more epochs: {error}") from error
        potential = load_potential("m3gnet", str(folder), settings.device)
        judged = {"validation": sets["validation"], "test": test}
        judged |= {f"test: {origin}": frames for origin, frames in test.by_origin().items()}
        errors = {which: errors_of(potential, frames) for which, frames in judged.items()}
        begun = student.start
        metrics = {
            "name": name,
            "hash": potential.card.hash,
            "start": {"name": begun.name, "hash": begun.hash} if begun else None,
            "earlier": _trainings_before(settings.start, begun.hash) if begun else [],
            "command": settings.command,
            "parameters": sum(weight.numel() for weight in student.model.parameters()),
            "elements": list(potential.card.elements),
            **_origin(settings, sets),
            **_results(trials, trained),
            "errors": {which: one.summary() for which, one in errors.items()},
        }
        write_json(folder / METRICS, metrics)
        draw(metrics["training"], errors["test"], folder)
        write_readme(folder, metrics, _comparison_of_the_same(settings.output, folder, metrics))


def _comparison_of_the_same(earlier: Path, folder: Path, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Copy the comparison beside an earlier potential of the same weights, and return it; None for other weights."""
    from data.interface.potential_training.report import COMPARISON

    if not all((earlier / name).is_file() for name in (METRICS, *COMPARISON)):
        return None
    if json.loads((earlier / METRICS).read_bytes())["hash"] != metrics["hash"]:
        return None
    for name in COMPARISON:
        shutil.copy(earlier / name, folder)
    return json.loads((folder / COMPARISON[0]).read_bytes())


def _trainings_before(start: str, sha256: str) -> list[dict[str, Any]]:
    """The trainings that led to the weights of a start, as far as its metrics.json has them."""
    path = Path(start) / METRICS
    metrics = json.loads(path.read_bytes()) if path.is_file() else {}
    if metrics.get("hash") != sha256 or not metrics.keys() >= set(STAGE):
        return []
    return [*metrics.get("earlier", []), {key: metrics[key] for key in STAGE}]


def _origin(settings: TrainPotentialSettings, sets: Sets) -> dict[str, Any]:
    return {
        "system": settings.system,
        "labels": dict(sets["test"].source),
        "seed": settings.seed,
        "validation": settings.validation,
        "test": settings.test,
        "sets": {name: {**_counts(one), "origins": _origins(one)} for name, one in sets.items()},
        "held_out": sorted(set(sets["test"].structures.tolist())),
    }


def _counts(frames: LabelledFrames) -> dict[str, int]:
    return {"structures": len(set(frames.structures.tolist())), "frames": len(frames)}


def _origins(frames: LabelledFrames) -> dict[str, dict[str, int]]:
    return {origin: _counts(one) for origin, one in frames.by_origin().items()}


def _results(trials: list[Trained], trained: Trained) -> dict[str, Any]:
    from data.interface.potential_training.record import in_plain_values

    chosen = (trained.schedule.learning_rate, trained.schedule.batch_size)
    tried = [
        {**in_plain_values(one), "chosen": (one.schedule.learning_rate, one.schedule.batch_size) == chosen}
        for one in trials
    ]
    weights = dict(zip(("energy", "force", "stress"), trained.schedule.weights, strict=True))
    return {"weights": weights, "trials": tried, "training": in_plain_values(trained)}


if __name__ == "__main__":
    run_command(train, TrainPotentialSettings)
