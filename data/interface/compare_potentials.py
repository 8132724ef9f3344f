"""Relax held-out structures with another potential: `python -m data.interface.compare_potentials system=li2o_licl`.

Random structures of an interface that the potential was not trained on are relaxed from the starts and with the
settings of the build. The results show whether both potentials put the relaxed structures in the same order and on the
same side of the cut-off. A killed run resumes when it is started again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryingan.energies.data_card import read_data_card
from cryingan.errors import CryinGANError
from cryingan.plots.parity import Parity, parity_figure
from cryingan.plots.style import save_figure
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.potential import Potential, load_potential
from cryingan.relaxation.relax import RelaxationResults, relax
from cryingan.relaxation.settings import RelaxSettings
from cryingan.storage.atomic import make_folder, write_json
from cryingan.storage.locks import lock_folder
from data.command import run_command
from data.interface.dataset import LEAST
from data.interface.potential_training.comparison import Relaxations, agreement, relaxations, same_places, shifted
from data.interface.potential_training.report import COMPARISON, write_readme
from data.interface.potential_training.settings import or_own
from data.interface.settings import INTERFACE_SETS

TIMED = 8  # structures


@dataclass
class CompareSettings:
    """Settings of `python -m data.interface.compare_potentials`.

    Attributes:
        system: name or YAML file of an interface that has been built or is being built.
        relaxations: folder of its relaxations; `work` in the folder of the set by default.
        potential: potential that is compared, as arguments of `cryingan.potentials.potential.load_potential`; without
            a path, the one that was trained for the set.
        reference: potential of the build, in the same form; adds the speed of both, its energies of the structures
            that the compared potential relaxed, and `shift`.
        shift: relax the starts with `reference` also after moving their atoms at random, by this standard deviation in
            each direction, Angstrom; how well it then agrees with itself is the scale for any other potential. 0 skips
            this.
        n: largest number of held-out structures.
        relax: where to relax, as fields of `cryingan.relaxation.settings.RelaxSettings`; the build decides how.
        folder: folder of comparison.json and comparison.png; that of the potential by default.
    """

    system: str
    relaxations: str | None = None
    potential: dict[str, Any] = field(default_factory=lambda: {"kind": "m3gnet", "path": None, "device": "auto"})
    reference: dict[str, Any] = field(default_factory=dict)
    shift: float = 0.0
    n: int = 50
    relax: dict[str, Any] = field(default_factory=lambda: {"backend": "loky", "processes": None})
    folder: str | None = None

    def __post_init__(self) -> None:
        if self.n < LEAST or not self.shift >= 0:
            raise CryinGANError(f"n={self.n} must be at least {LEAST}, and shift={self.shift:g} at least 0")

    @property
    def stem(self) -> str:
        """Name of the system."""
        return Path(self.system).stem

    @property
    def build_folder(self) -> Path:
        """Folder of the relaxations of the system."""
        return Path(self.relaxations) if self.relaxations else INTERFACE_SETS / self.stem / "work"


def compare(settings: CompareSettings) -> Path:
    """Relax held-out structures, and write how their energies agree with those of the build.

    Returns:
        The folder with comparison.json and comparison.png.

    Raises:
        CryinGANError: a potential cannot be loaded, or the build has no structures to compare with.
    """
    given = or_own(settings.potential, settings.build_folder.parent)
    if settings.folder is None and not Path(given.get("path") or "").is_dir():
        raise CryinGANError(f"give folder=FOLDER for the results, or potential.path, which is {given.get('path')}")
    potential = load_potential(**given)
    folder = Path(settings.folder or given["path"])
    metrics = _metrics(given.get("path"))
    built = relaxations(settings.system, settings.build_folder, _held_out(metrics, settings), settings.n)
    if potential.card.hash == built.potential["hash"]:
        raise CryinGANError(f"{potential.card.name} is the potential that the structures were relaxed with")
    work = make_folder(settings.build_folder / f"comparison_{potential.card.hash[:12]}_{built.key}")
    with lock_folder(work):
        protocol = {key: value for key, value in built.settings.items() if key != "frames"}
        how = RelaxSettings.from_mapping({**settings.relax, **protocol})
        ended = relax(built.starts, potential, how, output=work, numbers=built.numbers, source=built.source)
        if not ended.converged.any():
            raise CryinGANError(f"none of {len(ended.converged)} structures converges with {potential.card.name}")
        found = {
            "system": settings.stem,
            "potential": {"name": potential.card.name, "hash": potential.card.hash},
            **agreement(ended, built, _cutoff(settings, built.potential)),
            **_with_reference(settings, potential, ended, built, how, work),
        }
    _write(found, ended, built, make_folder(folder), metrics)
    return folder


def _metrics(folder: str | None) -> dict[str, Any] | None:
    """The metrics that `train_potential` wrote beside a potential; None for any other potential."""
    path = Path(folder or "") / "metrics.json"
    return json.loads(path.read_bytes()) if path.is_file() else None


def _held_out(metrics: Mapping[str, Any] | None, settings: CompareSettings) -> set[str] | None:
    """Names of the structures of its system that a potential was not trained on; None where it was on none."""
    own = metrics and Path(metrics["system"] or "").stem == settings.stem
    return set(metrics["held_out"]) if own else None


def _cutoff(settings: CompareSettings, potential: Mapping[str, str]) -> float | None:
    card = read_data_card(settings.build_folder.parent / f"{settings.stem}.extxyz.gz")
    listed = card.cutoff(PotentialCard(potential["name"], potential["hash"], ()))
    return listed and listed.energy_per_atom


def _with_reference(
    settings: CompareSettings,
    potential: Potential,
    ended: RelaxationResults,
    built: Relaxations,
    how: RelaxSettings,
    work: Path,
) -> dict[str, Any]:
    """Results that need the potential of the build; None where it is not given."""
    if not settings.reference:
        return {"speed": None, "same_places": None, "moved": None}
    reference = load_potential(**{"kind": "m3gnet", "device": potential.device, **settings.reference})
    if reference.card.hash != built.potential["hash"]:
        raise CryinGANError(f"reference is {reference.card.name}, not what the structures were relaxed with")
    moved = None
    if settings.shift:
        folder, source = work / f"moved_{settings.shift:g}", f"{built.source}, moved by {settings.shift:g} Angstrom"
        starts = shifted(built.starts, settings.shift)
        again = relax(starts, reference, how, output=folder, numbers=built.numbers, source=source)
        moved = {"shift": settings.shift, **agreement(again, built, _cutoff(settings, built.potential))}
    return {
        "speed": _speed(potential, reference, built),
        "same_places": same_places(ended, reference),
        "moved": moved,
    }


def _speed(potential: Potential, reference: Potential, built: Relaxations) -> dict[str, float]:
    """CPU time of one evaluation with each potential, ms: the lowest of several, taken in turns."""
    spent: dict[str, list[float]] = {"ms": [], "reference_ms": []}
    for atoms in built.starts[:TIMED].to_ase():
        for key, one in (("ms", potential), ("reference_ms", reference)):
            start = time.process_time()
            one.evaluate([atoms])
            spent[key].append((time.process_time() - start) * 1000)
    return {key: min(values) for key, values in spent.items()}


def _write(
    found: dict[str, Any], ended: RelaxationResults, built: Relaxations, folder: Path, metrics: dict[str, Any] | None
) -> None:
    both, energies = ended.converged, ended.energy_final / len(built.starts.species)
    rank = float("nan") if found["spearman"] is None else found["spearman"]
    parity = Parity(built.energies[both], energies[both], "eV/atom", found["mae"] * 1000, "meV/atom", rank)
    content, figure = (folder / name for name in COMPARISON)
    save_figure(parity_figure({"relaxed energy": parity}, ("build's", "compared")), figure)
    write_json(content, found)
    if metrics is not None:
        write_readme(folder, metrics, found)


if __name__ == "__main__":
    run_command(compare, CompareSettings)
