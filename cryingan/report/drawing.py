"""Charts as figures of plotly, in plain values that the page draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cryingan.plots.series import Look, Series
from cryingan.plots.style import BLACK, COLORS, LINES
from cryingan.report.charts import Chart

INK, FAINT = "ink", "faint"
"""Colours of text and of what is less important, which the page replaces by those of its theme."""
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
FEW = 30  # points, up to which they have markers
BESIDE = {"training set": INK, "random structures": FAINT}


def section_looks(charts: Sequence[Chart]) -> dict[str, Look]:
    """One look for each label of the charts of a section, in their order; what they stand beside has a fixed one."""
    labels = [label for chart in charts for label in chart.series]
    colors = [color for color in COLORS if color != BLACK]  # which dark pages would hide
    settings = enumerate(dict.fromkeys(label for label in labels if label not in BESIDE))
    own = {label: Look(colors[i % len(colors)], "", LINES[i // len(colors) % len(LINES)]) for i, label in settings}
    beside = {label: Look(color, "", "-") for label, color in BESIDE.items() if label in labels}
    return own | beside | {label: reference_look(label) for chart in charts for label in chart.references}


def reference_look(label: str) -> Look:
    """How the line of a value is drawn: dashed of a training set, dotted of random structures."""
    return Look(INK, "", "--") if label.startswith("training") else Look(FAINT, "", ":")


def figure_of(chart: Chart, looks: Mapping[str, Look]) -> dict[str, Any]:
    """Traces and the title of the horizontal axis; `from_zero` where all values are shares."""
    traces = []
    for label, one in chart.series.items():
        traces += [*_band(label, one, looks[label]), _line(label, one, looks[label], chart.steps)]
    across = np.concatenate([one.x for one in chart.series.values()])
    ends = numbers(np.array([across.min(), across.max()]))
    for label, value in chart.references.items():
        look = looks[label]
        line = {"dash": DASHES[look.line], "width": 1.5, "color": look.color}
        trace = {"x": ends, "y": numbers(np.array([value] * 2)), "name": label}
        traces.append({**trace, "mode": "lines", "type": "scatter", "line": line})
    everything = np.concatenate([one.extent() for one in chart.series.values()])
    shares = bool(((everything >= 0) & (everything <= 1)).all())
    return {"traces": traces, "xlabel": chart.xlabel, "from_zero": shares}


def legend_of(looks: Mapping[str, Look]) -> list[dict[str, str]]:
    """Label, colour and dashes of every look."""
    return [{"label": label, "color": look.color, "dash": DASHES[look.line]} for label, look in looks.items()]


def numbers(values: np.ndarray) -> list[float | None]:
    """Six digits of each number; None, which JSON has, for what is not finite."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in np.asarray(values, dtype=float).tolist()]


def _line(label: str, one: Series, look: Look, steps: bool) -> dict[str, Any]:
    few = len(one.x) <= FEW and not steps
    line = {"color": look.color, "dash": DASHES[look.line], "width": 2, **({"shape": "hv"} if steps else {})}
    trace = {"x": numbers(one.x), "y": numbers(one.value), "name": label, "legendgroup": label, "type": "scatter"}
    return {**trace, "mode": "lines+markers" if few else "lines", "line": line}


def _band(label: str, one: Series, look: Look) -> list[dict[str, Any]]:
    if one.low is None or one.high is None:
        return []
    kept = np.isfinite(one.low) & np.isfinite(one.high)
    x, low, high = one.x[kept], one.low[kept], one.high[kept]
    outline = {"x": numbers(np.append(x, x[::-1])), "y": numbers(np.append(high, low[::-1]))}
    look_of = {"fill": "toself", "fillcolor": look.color, "opacity": 0.2, "line": {"width": 0}, "mode": "lines"}
    silent = {"hoverinfo": "skip", "showlegend": False, "legendgroup": label, "name": f"{label}: range"}
    return [{**outline, **look_of, **silent, "type": "scatter"}]
