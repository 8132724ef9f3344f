"""Score structures of any origin against a reference (Dismai-Bench)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.benchmarks import Benchmark, Scores, load_benchmark
from cryingan.benchmarks.base import percentage
from cryingan.descriptors import Described, DescriptorFile, describe_all
from cryingan.errors import CryinGANError
from cryingan.evaluation_frames import Frame, formula, read_frames, source_hash
from cryingan.evaluation_origin import Origin, origin_of
from cryingan.evaluation_reference import Reference, descriptor_key, load_reference, stacked, versions
from cryingan.metrics.bootstrap import Interval, mean_interval
from cryingan.replace import lock_folder, make_folder

if TYPE_CHECKING:
    from ase import Atoms

DESCRIPTORS = "descriptors.bin"
OTHER_COMPOSITION = "composition differs from the reference's"
NOT_THERE = "not in the file"

Source = str | Path | Sequence["Atoms"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How structures compare with a reference.

    Attributes:
        values: metrics by the paper's names, with their 95 % bootstrap intervals; `percent_failed` is of `original`.
        scores: what the benchmark says of the accepted structures, besides `values`.
        rows: of every structure `number` (place in the file, from 1), `sample` (its number in sampling, or the name of
            its file), `accepted`, `reason` and `formula`; of accepted ones also the columns of the benchmark.
        counts: `original`, `read` (in the file), `accepted` and `failed` (original - accepted) structures.
        failures: how many structures failed for which reason; numbers in it are replaced by N.
        provenance: files, their hashes, settings and versions.
    """

    values: Mapping[str, Interval]
    scores: Scores
    rows: Sequence[Mapping[str, Any]]
    counts: Mapping[str, int]
    failures: Mapping[str, int]
    provenance: Mapping[str, Any] = field(default_factory=dict)


def evaluate(
    structures: Source,
    reference: Source,
    benchmark: str | Benchmark,
    *,
    original: int | None = None,
    output: str | Path | None = None,
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
            key = descriptor_key(against.benchmark, hash) | {"reference": against.hash}
            kept = DescriptorFile(output / DESCRIPTORS, key)
        frames = list(read_frames(structures))
        described = describe_all(frames, against.benchmark.describe, kept, processes, progress)
        described = [_compared(one, against) for one in described]
        _require_comparable(described, against, structures)
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
        evaluation = _scored(frames, described, against, _origin(structures, frames, original), provenance)
        if output is not None:
            from cryingan.evaluation_report import write_evaluation

            write_evaluation(evaluation, output)
    return evaluation


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | Path) else f"{len(source)} structures in memory"


def _compared(described: Described, reference: Reference) -> Described:
    """A structure of another composition than the reference's as failed."""
    if described.reason or reference.same_composition(described.composition):
        return described
    return Described(described.number, described.composition, {}, OTHER_COMPOSITION)


def _require_comparable(described: Sequence[Described], reference: Reference, structures: Source) -> None:
    """Structures of another composition throughout are not failures, but another system."""
    compositions = Counter(formula(one.composition) for one in described if one.composition)
    if not compositions:
        return
    name = _name(structures)
    common = next(c for c in (one.composition for one in described) if formula(c) == compositions.most_common(1)[0][0])
    reference.benchmark.require_species(common, name)
    if all(one.reason == OTHER_COMPOSITION for one in described if one.composition):
        raise CryinGANError(
            f"{name} holds {formula(common)}, but the reference {formula(reference.composition)}: "
            "they cannot be compared"
        )


def _origin(structures: Source, frames: Sequence[Frame], original: int | None) -> Origin:
    """Where the structures come from, with the number that were generated."""
    origin = Origin()
    if isinstance(structures, str | Path):
        samples = {int(frame.info["sample"]) for frame in frames if "sample" in frame.info}
        origin = origin_of(Path(structures), samples)
    generated = original if original is not None else origin.generated or len(frames)
    if generated < len(frames):
        raise CryinGANError(f"original={generated}: at least the {len(frames)} structures in the file were generated")
    return Origin(generated, origin.lost, origin.energies, origin.unit)


def _scored(
    frames: Sequence[Frame],
    described: Sequence[Described],
    reference: Reference,
    origin: Origin,
    provenance: Mapping[str, Any],
) -> Evaluation:
    accepted = [one for one in described if not one.reason]
    generated = stacked(accepted, reference.benchmark.nothing(reference.composition))
    scores = reference.benchmark.score(generated, reference.sample)
    failed = 100.0 * (np.arange(origin.generated) >= len(accepted))
    rows = _rows(frames, described, scores, origin)
    reasons = Counter(_general(row["reason"]) for row in rows if row["reason"])
    untold = origin.generated - len(rows)
    return Evaluation(
        values={**scores.values, "percent_failed": percentage(mean_interval(failed))},
        scores=scores,
        rows=rows,
        counts={
            "original": origin.generated,
            "read": len(frames),
            "accepted": len(accepted),
            "failed": origin.generated - len(accepted),
        },
        failures=dict((reasons + Counter({NOT_THERE: untold})).most_common()),
        provenance=provenance,
    )


def _rows(
    frames: Sequence[Frame], described: Sequence[Described], scores: Scores, origin: Origin
) -> list[dict[str, Any]]:
    """A row for every structure in the file, and for every sample that is known to be lost."""
    place = {number: at for at, number in enumerate(one.number for one in described if not one.reason)}
    rows = []
    for frame, one in zip(frames, described, strict=True):
        sample = frame.info.get("sample", frame.name)
        row = {"number": frame.number, "sample": sample, "accepted": not one.reason, "reason": one.reason}
        row["formula"] = formula(frame.composition)
        row |= origin.energies.get(int(sample), {}) if "sample" in frame.info else {}
        if not one.reason:
            row |= {name: column[place[frame.number]] for name, column in scores.columns.items()}
        rows.append(row)
    lost = [{"sample": sample, "accepted": False, "reason": reason} for sample, reason in origin.lost.items()]
    return rows + lost


def _general(reason: str) -> str:
    """A reason with N for the numbers in it, so that equal failures count as equal."""
    return re.sub(r"(?<![\w.])-?\d+(\.\d+)?(e[-+]?\d+)?(?![\w])", "N", reason)
