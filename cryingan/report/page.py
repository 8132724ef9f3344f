"""The page: what it shows in plain values, and these with scripts and style in one file."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from cryingan import __version__
from cryingan.errors import CryinGANError
from cryingan.evaluation.comparison import require_same
from cryingan.evaluation.spread import spread, spread_text
from cryingan.plots.atoms import BOND, OUTLINE
from cryingan.report.charts import Chart, without_times
from cryingan.report.differences import differing_with, models_of, settings_of
from cryingan.report.drawing import figure_of, legend_of, section_looks
from cryingan.report.energies import failures
from cryingan.report.results import ANSWERS, last_number, title_of
from cryingan.report.runs import SUMMARY, Run
from cryingan.report.structures import run_labels, viewer_sets
from cryingan.report.table import tables
from cryingan.storage.fraction_keys import OUT_OF_TIME, mode_of

HASH_DIGITS = 16
UNKNOWN = "unknown: a run of an earlier version"
Section = tuple[str, str, Sequence[Chart]]


def page_content(title: str, runs: Sequence[Run], sections: Sequence[Section]) -> dict[str, Any]:
    """What the page shows.

    Args:
        title: of the page.
        runs: the runs.
        sections: name, a sentence, and charts of each section of figures.
    """
    labels = run_labels(runs)
    sets = viewer_sets(runs, labels)
    return {
        "title": title,
        "answer": answer(runs),
        "version": __version__,
        "notes": notes(runs),
        "tables": [table.plain() for table in tables(runs)],
        "sections": [{"name": name, "text": text, **_figures(charts)} for name, text, charts in sections],
        "structures": sets,
        "drawn": {"bond": BOND, "outline": OUTLINE},
        "runs": [{"label": label, **about(run)} for run, label in zip(runs, labels, strict=True)],
    }


def page_html(content: dict[str, Any]) -> str:
    """The page as one file that loads nothing."""
    from plotly.offline import get_plotlyjs

    ours = files("cryingan.report") / "page"
    names = {"style": "page.css", "viewer_library": "3Dmol-min.js", "viewer": "viewer.js", "script": "page.js"}
    names["viewer_license"] = "3Dmol-LICENSE.txt"
    parts = {key: (ours / name).read_text() for key, name in names.items()}
    data = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", r"\u003c")
    parts |= {"title": html.escape(content["title"]), "plotly": get_plotlyjs(), "data": data}
    return Template((ours / "page.html").read_text()).substitute(parts)


def answer(runs: Sequence[Run]) -> str:
    """The setting with the best last value of the key that tells most, in one sentence; empty where none can tell.

    A key tells where two settings have it and differ, or the only one has it; losses of several models are not of one
    kind.
    """
    settings, one_model = settings_of(runs), len(models_of(runs)) == 1
    for key in ANSWERS:
        values = {group.label: np.array([last_number(run, key) for run in group.runs]) for group in settings}
        known = {label: one for label, one in values.items() if np.isfinite(one).any()}
        told = len(settings) == 1 or len(np.unique(np.concatenate([[], *map(_finite, known.values())]))) > 1
        if len(known) >= min(2, len(settings)) and told and (one_model or not key.endswith("/loss")):
            lacking = len(settings) - len(known)
            without = f"; {lacking} of {len(settings)} settings have none" if lacking else ""
            return _best(key, known) + without
    return ""


def _best(key: str, known: Mapping[str, np.ndarray]) -> str:
    """The setting with the best mean of a key over its runs, in words."""
    sign = 1 if mode_of(key) == "max" else -1
    means = {label: spread(one).mean for label, one in known.items()}
    best = max(means, key=lambda label: sign * means[label])
    others = sum(mean == means[best] for mean in means.values()) - 1
    tied = f" (and {others} more)" if others else ""
    seeds = f", mean and range of {len(known[best])} runs" if len(known[best]) > 1 else ", of one run"
    which = "highest" if sign == 1 else "lowest"
    others = [one for label, one in known.items() if label != best]
    near = sum((sign * _finite(one)).max() >= (sign * _finite(known[best])).min() for one in others)
    overlap = f"; ranges overlap with {near} of {len(others)} other settings" if near and len(known[best]) > 1 else ""
    return f"{best}{tied}: {which} {title_of(key)} at the end, {spread_text(known[best])}{seeds}{overlap}"


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def notes(runs: Sequence[Run]) -> list[str]:
    """What the numbers are, and what is missing."""
    found = [
        "95 % intervals: as they were logged; of other shares of samples Wilson's. Recall and coverage are shares of "
        "training structures and have none. Settings and models: mean (smallest, largest) over runs.",
    ]
    for what, of in (
        ("not relaxed", [run for run in runs if run.relaxation]),
        ("failed or not finished", [run for run in runs if run.state != "finished"]),
        ("without summary.json, which has values of the training set and of random structures", _unsummarised(runs)),
    ):
        if of:
            found.append(f"{what}: {len(of)} of {len(runs)} runs")
    if other := _incomparable(runs):
        found.append(f"evaluations cannot be compared: {other}")
    if late := [run for run in runs if _most_out_of_time(run)]:
        most = max(map(_most_out_of_time, late))
        found.append(
            f"relaxations ran out of time: in {len(late)} of {len(runs)} runs, up to {most:.1%} of the samples of an "
            "epoch, which count as not low"
        )
    if missing := without_times(runs):
        found.append(f"times unknown, so no comparison at equal times: {'; '.join(missing)}")
    together = {first: others for first, others in differing_with(runs).items() if others}
    found += [
        f"set with {first}, and not told apart from it: {', '.join(others)}" for first, others in together.items()
    ]
    return found


def _incomparable(runs: Sequence[Run]) -> str:
    """Why the newest evaluations of runs cannot stand side by side; empty where they can."""
    newest = [list(run.evaluations.items())[-1] for run in runs if run.evaluations]
    try:
        for other in newest[1:]:
            require_same(*newest[0], *other)
    except CryinGANError as error:
        return str(error)
    return ""


def _most_out_of_time(run: Run) -> float:
    _, shares = run.curves.get(OUT_OF_TIME, ((), np.zeros(0)))
    return float(np.nanmax(shares, initial=0.0))


def _unsummarised(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if not (run.folder / SUMMARY).exists()]


def about(run: Run) -> dict[str, Any]:
    """For one run: command, version, hashes, how it ended, and its settings."""
    relaxed, record = run.last_relaxed, run.record
    version = " ".join(filter(None, (record.get("version"), record.get("commit"))))
    facts = {
        "folder": str(run.folder),
        "state": run.state,
        "command": record.get("command", UNKNOWN),
        "code": f"cryingan {version}" if version else UNKNOWN,
        "data": f"{run.data}, SHA-256 {_short(record.get('data_sha256'))}",
        "relaxed samples": run.relaxation or f"epoch {relaxed.epoch}: {relaxed.summary['samples']} samples",
    }
    if relaxed:
        facts["potential"] = f"{relaxed.summary['potential']}, hash {_short(relaxed.summary['potential_hash'])}"
        facts["how relaxations ended"] = ", ".join(f"{count} {reason}" for reason, count in failures(run).items())
    for folder, evaluation in run.evaluations.items():
        failed = "".join(f", {count} {reason}" for reason, count in evaluation.get("failures", {}).items())
        counts = evaluation["counts"]
        drawn = f", {counts['refused']} of {counts.get('drawn')} candidates refused" if counts.get("refused") else ""
        facts[f"evaluation {folder}"] = f"{counts['accepted']} structures accepted{failed}{drawn}"
    facts |= {f"cannot be read ({number + 1})": reason for number, reason in enumerate(run.unread)}
    return {"facts": facts, "settings": {key: str(value) for key, value in run.settings.items()}}


def _short(digest: str | None) -> str:
    return digest[:HASH_DIGITS] if digest else "unknown"


def _figures(charts: Sequence[Chart]) -> dict[str, Any]:
    looks_of_section = section_looks(charts)
    drawn = [
        {"name": chart.name, "title": chart.title, "note": chart.note, **figure_of(chart, looks_of_section)}
        for chart in charts
    ]
    return {"legend": legend_of(looks_of_section), "charts": drawn}
