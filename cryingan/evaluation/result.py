"""The result of an evaluation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cryingan.evaluation.benchmarks.base import Scores, percentage
from cryingan.evaluation.describe import Described
from cryingan.evaluation.origin import Origin
from cryingan.evaluation.reference import ReferenceSet, stacked
from cryingan.evaluation.relaxed_energies import relaxed_energies
from cryingan.metrics.bootstrap import Interval
from cryingan.structures.checks import formula
from cryingan.structures.lenient import Candidate

NOT_THERE = "not in the file"
NUMBER = re.compile(r"(?<![\w.])(-?\d+(\.\d+)?(e[-+]?\d+)?|-?inf|nan)(?![\w])")  # reasons are counted without theirs


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of structures against a reference.

    Attributes:
        values: metrics by the paper's names, with 95 % intervals; `percent_failed` is a share of `original`.
        scores: columns, tables and figures of the accepted structures.
        rows: for every structure `number` (place in the file, from 1), `sample` (sample number, or name of the file),
            `accepted`, `reason` and `formula`; for accepted ones also the columns of the benchmark.
        counts: numbers of `original`, `read` (in the file), `accepted` and `failed` (original - accepted) structures;
            where the model refuses candidates, of those that it `refused` and of all that it has `drawn`.
        failures: number of failed structures by reason; numbers in reasons are replaced by #.
        first_failures: reason, as in `failures`, and the first row with it.
        relaxation: steps, energy drops and fractions below thresholds of samples that `sample.py` relaxed.
        provenance: files, their hashes, settings and versions.
        beside: metrics of other structures by their name, such as random ones.

    Example:
        >>> silicon = cryingan.Crystals([[[0, 0, 0], [0.25, 0.25, 0.25]]] * 3, 5.43 / 2 * (1 - np.eye(3)), ["Si", "Si"])
        >>> evaluation = cryingan.evaluate(silicon[:2], silicon, "silicon", processes=1, progress=False)
        >>> evaluation.counts["accepted"], evaluation.values["percent_failed"].value
        (2, 0.0)
    """

    values: Mapping[str, Interval]
    scores: Scores = field(repr=False)
    rows: Sequence[Mapping[str, Any]] = field(repr=False)
    counts: Mapping[str, int]
    failures: Mapping[str, int]
    first_failures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    relaxation: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)
    beside: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)


def scored(
    frames: Sequence[Candidate],
    described: Sequence[Described],
    reference: ReferenceSet,
    origin: Origin,
    provenance: Mapping[str, Any],
) -> Evaluation:
    """Return the evaluation of structures against a reference.

    Args:
        frames: the structures.
        described: their descriptors, in the same order.
        reference: what they are compared with.
        origin: where they come from, with the number of generated ones.
        provenance: files, their hashes, settings and versions.
    """
    accepted = [one for one in described if not one.reason]
    generated = stacked(accepted) if accepted else reference.sample.nothing()
    relaxation, histogram = relaxed_energies(origin, reference.benchmark.kind, reference.benchmark.compatible)
    scores = reference.benchmark.score(generated, reference.sample) | histogram
    failed = np.arange(origin.generated) >= len(accepted)
    values = dict(scores.values)
    if not accepted:
        values = {name: replace(value, reason="no structure was accepted") for name, value in values.items()}
    rows = _rows(frames, described, scores, origin)
    failed_rows = [(NUMBER.sub("#", row["reason"]), row) for row in rows if row["reason"]]
    reasons = Counter(reason for reason, _ in failed_rows)
    missing = origin.generated - len(rows)
    return Evaluation(
        values={**values, "percent_failed": percentage(failed)},
        scores=scores,
        rows=rows,
        counts={
            "original": origin.generated,
            "read": len(frames),
            "accepted": len(accepted),
            "failed": origin.generated - len(accepted),
            **({} if origin.drawn is None else {"refused": origin.refused, "drawn": origin.drawn}),
        },
        failures=dict((reasons + Counter({NOT_THERE: missing})).most_common()),
        first_failures=dict(reversed(failed_rows)),
        relaxation=relaxation,
        provenance=provenance,
    )


def _rows(
    frames: Sequence[Candidate], described: Sequence[Described], scores: Scores, origin: Origin
) -> list[dict[str, Any]]:
    """Return a row for every structure in the file, and for every sample that is known to be lost."""
    place = {number: at for at, number in enumerate(one.number for one in described if not one.reason)}
    rows = []
    for frame, one in zip(frames, described, strict=True):
        sample = frame.sample
        if sample is None:
            sample = frame.number - 1 if origin.in_order else frame.name
        row = {"number": frame.number, "sample": sample, "accepted": not one.reason, "reason": one.reason}
        row["formula"] = formula(frame.composition)
        row |= origin.energies.get(frame.sample, {})
        if not one.reason:
            row |= {name: column[place[frame.number]] for name, column in scores.columns.items()}
        rows.append(row)
    lost = [{"sample": sample, "accepted": False, "reason": reason} for sample, reason in origin.lost.items()]
    return rows + lost
