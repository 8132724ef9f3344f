"""Score structures of any origin against a reference (Dismai-Bench)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Benchmark
from cryingan.evaluation.benchmarks.registry import load_benchmark
from cryingan.evaluation.describe import describe_all
from cryingan.evaluation.descriptor_file import DescriptorFile
from cryingan.evaluation.origin import Origin, origin_of
from cryingan.evaluation.reference import Reference, descriptor_key, load_reference, versions
from cryingan.evaluation.result import Evaluation, scored
from cryingan.storage.atomic import make_folder
from cryingan.storage.locks import lock_folder
from cryingan.structures.checks import formula
from cryingan.structures.lenient import Candidate, read_candidates, source_hash

if TYPE_CHECKING:
    from ase import Atoms

DESCRIPTORS = "descriptors.bin"
OTHER_COMPOSITION = "composition differs from the reference's"

Source = str | Path | Sequence["Atoms"]


def evaluate(
    structures: Source,
    reference: Source,
    benchmark: str | Benchmark,
    *,
    original: int | None = None,
    output: str | Path | None = None,
    replace: bool = False,
    processes: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> Evaluation:
    """Score structures against a reference.

    A structure that cannot be read or described has failed, is named with its reason, and touches no other.

    Args:
        structures: a file in any format that ASE reads, a folder of CIF or POSCAR files, or structures. Cells and
            numbers of atoms may differ.
        reference: likewise, or a folder with the CSV files that Dismai-Bench publishes.
        benchmark: `interface`, `silicon` or `alloy`, or one with its settings.
        original: how many structures were generated. Where not given, files of ours beside the structures tell, or else
            it is the number of structures.
        output: folder for everything; the same call on the same folder goes on where it was killed. Nothing is written
            where not given.
        replace: start anew where `output` holds another evaluation, instead of refusing it.
        processes: how many describe structures; all processors when not given.
        progress: report on stderr how far the work has come.
        settings: fields of the benchmark's class, where it is given by its name.

    Raises:
        CryinGANError: a file or setting cannot be used, the reference has another composition than all structures, or
            `output` belongs to other structures or settings.
    """
    if isinstance(benchmark, str):
        benchmark = load_benchmark(benchmark, **settings)
    hash = source_hash(structures)
    against = load_reference(reference, benchmark, processes, progress)
    with ExitStack() as stack:
        kept = None
        if output is not None:
            output = make_folder(output)
            stack.enter_context(lock_folder(output))
        frames = _comparable(list(read_candidates(structures)), against, _name(structures))
        origin = _origin(structures, frames, original)
        if output is not None:  # not before: what is refused claims no folder
            key = descriptor_key(against.benchmark, hash) | {"reference": against.hash}
            kept = DescriptorFile(output / DESCRIPTORS, key, replace=replace)
        described = describe_all(frames, against.benchmark.describe, kept, processes, progress)
        provenance = {
            "structures": {"path": _name(structures), "sha256": hash},
            "reference": {
                "path": _name(reference),
                "sha256": against.hash,
                "structures": len(against.sample),
                "composition": formula(against.composition),
            },
            "settings": against.benchmark.settings(),
            "versions": versions(),
        }
        evaluation = scored(frames, described, against, origin, provenance)
        if output is not None:
            from cryingan.evaluation.report import write_evaluation

            write_evaluation(evaluation, output)
    return evaluation


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | Path) else f"{len(source)} structures in memory"


def _comparable(frames: list[Candidate], reference: Reference, name: str) -> list[Candidate]:
    """The structures, with those of another composition than the reference's as failed.

    Raises:
        CryinGANError: all of them are, or hold elements that the benchmark does not know.
    """
    wrong = {frame.number: _mismatch(frame, reference, name) for frame in frames if frame.atoms is not None}
    if wrong and all(wrong.values()):
        commonest = Counter(map(str, wrong.values())).most_common(1)[0][0]
        raise next(error for error in wrong.values() if str(error) == commonest)
    return [replace(frame, reason=OTHER_COMPOSITION) if wrong.get(frame.number) else frame for frame in frames]


def _mismatch(frame: Candidate, reference: Reference, name: str) -> CryinGANError | None:
    """Why a structure cannot be compared with the reference; None where it can."""
    composition = frame.composition
    try:
        reference.benchmark.require_species(composition, name)
    except CryinGANError as error:
        return error
    if reference.same_composition(composition):
        return None
    ours, theirs = formula(composition), formula(reference.composition)
    return CryinGANError(f"{name} holds {ours}, but the reference {theirs}: they cannot be compared")


def _origin(structures: Source, frames: Sequence[Candidate], original: int | None) -> Origin:
    """Where the structures come from, with the number that were generated.

    Raises:
        CryinGANError: nothing tells of any, more are known than were generated, or two are the same sample.
    """
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
        beside = "" if known == len(frames) else ", as the files beside them tell"
        raise CryinGANError(f"original={original}: at least {known} structures were generated{beside}")
    return replace(origin, generated=known if original is None else original)
