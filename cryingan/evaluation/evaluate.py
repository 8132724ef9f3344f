"""Score structures of any origin against a reference (Dismai-Bench)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from ase import Atoms

from cryingan.energies.data_card import read_data_card
from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Benchmark
from cryingan.evaluation.benchmarks.registry import load_benchmark
from cryingan.evaluation.describe import DescriptorFile, describe_all
from cryingan.evaluation.origin import Origin, origin_of
from cryingan.evaluation.reference import ReferenceSet, descriptor_key, load_reference, stacked, versions
from cryingan.evaluation.report import write_evaluation
from cryingan.evaluation.result import Evaluation, scored
from cryingan.metrics.bootstrap import Interval
from cryingan.storage.atomic import make_folder
from cryingan.storage.locks import lock_folder
from cryingan.structures.checks import formula
from cryingan.structures.crystals import Crystals
from cryingan.structures.lenient import Candidate, read_candidates
from cryingan.structures.sources import source_hash

DESCRIPTORS = "descriptors.bin"
OTHER_COMPOSITION = "composition differs from the reference's"

Source = str | Path | Crystals | Sequence[Atoms]


def evaluate(
    structures: Source,
    reference: Source,
    benchmark: str | Benchmark,
    *,
    original: int | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    processes: int | None = None,
    progress: bool = True,
    types: Sequence[str] = (),
    beside: Mapping[str, Crystals] | None = None,
    **settings: Any,
) -> Evaluation:
    """Score structures against a reference; one that cannot be read or described counts as failed, with its reason.

    Example:
        >>> import numpy as np
        >>> from ase.build import bulk
        >>> from cryingan.structures.crystals import Crystals
        >>> atoms = bulk("Si", cubic=True)
        >>> noise = np.random.default_rng(0).normal(0, 0.02, (6, len(atoms), 3))
        >>> silicon = Crystals(atoms.get_scaled_positions() + noise, atoms.cell, atoms.get_chemical_symbols())
        >>> scores = evaluate(silicon[:3], silicon[3:], "silicon", processes=1, progress=False)
        >>> scores.counts["accepted"]
        3
        >>> scores.values["d_rdf"].value > 0
        True

    Args:
        structures: `Crystals`, a list of `ase.Atoms`, a file in any format that ASE reads, or a folder or pattern
            (`set/*.cif`) of such files, in natural order. Cells and numbers of atoms may differ.
        reference: likewise, or a folder with the CSV files that Dismai-Bench publishes.
        benchmark: `interface`, `silicon` or `alloy`, or a benchmark with its settings.
        original: number of generated structures. By default it is what `sample.py` recorded beside the structures, or
            else the number of structures.
        output: folder for the results and figures. The same call on the same folder resumes a killed evaluation.
            Nothing is written by default.
        overwrite: replace another evaluation in `output` instead of refusing it.
        processes: number of processes that describe structures; by default one per processor.
        progress: report progress on stderr.
        types: elements of the types 1, 2, ... of files that give none, such as dumps of LAMMPS.
        beside: other structures of the reference's cell by name, such as random ones, whose values stand beside.
        settings: fields of the benchmark's settings, where it is given by name; others are refused.

    Raises:
        CryinGANError: a file or setting cannot be used, no structure has the composition of the reference, or `output`
            belongs to other structures or settings.
    """
    if isinstance(benchmark, str):
        benchmark = load_benchmark(benchmark, **settings)
    elif settings:
        made = f"{type(benchmark).__name__}({', '.join(f'{name}=...' for name in settings)})"
        raise CryinGANError(f"a benchmark object has its own settings: give evaluate {made} or the name of a benchmark")
    structures, reference = _as_read(structures), _as_read(reference)
    if isinstance(reference, str | Path):
        benchmark = benchmark.for_card(read_data_card(reference), str(reference))
    structures_hash = source_hash(structures)
    candidates = list(read_candidates(structures, types))
    against = load_reference(reference, benchmark, processes, progress, types, (_name(structures), candidates))
    provenance = {
        "structures": {"path": _name(structures), "sha256": structures_hash},
        "reference": {
            "path": _name(reference),
            "sha256": against.hash,
            "structures": len(against.sample),
            "composition": formula(against.composition),
        },
        "settings": against.benchmark.settings(),
        "versions": versions(),
    }
    folder = None if output is None else make_folder(output)
    with nullcontext() if folder is None else lock_folder(folder):
        frames = _comparable(candidates, against, _name(structures))
        origin = _origin(structures, frames, original)
        kept = None
        if folder is not None:  # not before: refused input must not claim the folder
            key = descriptor_key(against.benchmark, structures_hash, types) | {"reference": against.hash}
            kept = DescriptorFile(folder / DESCRIPTORS, key, replace=overwrite)
        described = describe_all(frames, against.benchmark.describe, kept, processes, progress)
        others = {name: _values_of(one, against, processes, progress) for name, one in (beside or {}).items()}
        evaluation = replace(scored(frames, described, against, origin, provenance), beside=others)
        if folder is not None:
            write_evaluation(evaluation, folder)
    return evaluation


def _values_of(
    crystals: Crystals, reference: ReferenceSet, processes: int | None, progress: bool
) -> Mapping[str, Interval]:
    """The metrics of the structures among some that can be described; none where none can."""
    frames = list(read_candidates(crystals.to_ase()))
    described = describe_all(frames, reference.benchmark.describe, None, processes, progress)
    accepted = [one for one in described if not one.reason]
    return reference.benchmark.score(stacked(accepted), reference.sample).values if accepted else {}


def _as_read(source: Source) -> str | Path | Sequence[Atoms]:
    return source.to_ase() if isinstance(source, Crystals) else source


def _name(source: str | Path | Sequence[Atoms]) -> str:
    return str(source) if isinstance(source, str | Path) else f"{len(source)} structures in memory"


def _comparable(frames: list[Candidate], reference: ReferenceSet, name: str) -> list[Candidate]:
    """Mark structures of another composition than the reference's as failed; if all are, raise the commonest reason."""
    wrong = {}
    for frame in frames:
        if frame.atoms is not None:
            try:
                reference.require_comparable(frame.composition, name)
            except CryinGANError as error:
                wrong[frame.number] = str(error)
    if wrong and len(wrong) == sum(frame.atoms is not None for frame in frames):
        raise CryinGANError(Counter(wrong.values()).most_common(1)[0][0])
    return [replace(frame, reason=OTHER_COMPOSITION) if frame.number in wrong else frame for frame in frames]


def _origin(structures: Source, frames: Sequence[Candidate], original: int | None) -> Origin:
    """Return where the structures come from, with the number of generated ones."""
    places: dict[int, int] = {}
    for frame in frames:
        if frame.sample is not None and places.setdefault(frame.sample, frame.number) != frame.number:
            raise CryinGANError(
                f"{_name(structures)}: structures {places[frame.sample]} and {frame.number} both have "
                f"sample={frame.sample}; give the structures of one run, or take the numbers out"
            )
    origin = origin_of(Path(structures), set(places)) if isinstance(structures, str | Path) else Origin()
    known = max(origin.generated or 0, len(frames) + len(origin.lost))
    if not frames and not known and original is None:
        raise CryinGANError(f"{_name(structures)} holds no structures; original=N says how many were generated")
    if original is not None and original < known:
        beside = "" if known == len(frames) else ", according to the files beside them"
        raise CryinGANError(f"original={original}: at least {known} structures were generated{beside}")
    return replace(origin, generated=known if original is None else original)
