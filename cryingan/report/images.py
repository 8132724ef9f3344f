"""Charts as PNG and CSV, for papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cryingan.plots.series import Look, draw_band, handle
from cryingan.plots.style import BLACK, GREY, legend_above, new_figure, readable, save_figure, style
from cryingan.report.charts import Chart
from cryingan.report.drawing import FAINT, INK, section_looks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("series", "x", "value", "low", "high")


def write_charts(charts: Iterable[Chart], folder: Path) -> None:
    """Write NAME.png and NAME.csv of every chart into a folder."""
    for chart in charts:
        (folder / f"{chart.name}.csv").write_text(chart_rows(chart))
        save_figure(chart_figure(chart), folder / f"{chart.name}.png")


def chart_rows(chart: Chart) -> str:
    """A chart as CSV with all digits; a reference has no x."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for label, one in chart.series.items():
        for i, (x, value) in enumerate(zip(one.x.tolist(), one.value.tolist(), strict=True)):
            ends = ["" if end is None else float(end[i]) for end in (one.low, one.high)]
            writer.writerow([label, x, value, *ends])
    for label, value in chart.references.items():
        writer.writerow([label, "", value, "", ""])
    return file.getvalue()


@style()
def chart_figure(chart: Chart) -> Figure:
    """Draw a chart for print."""
    figure = new_figure(1, 1, height=2.5)
    [axis] = figure.axes
    colors = {INK: BLACK, FAINT: GREY}
    looks = {
        label: Look(colors.get(one.color, one.color), "", one.line) for label, one in section_looks([chart]).items()
    }
    for label, one in chart.series.items():
        if chart.steps:
            axis.stairs(one.value[:-1], one.x, baseline=None, color=looks[label].color, linestyle=looks[label].line)
        else:
            draw_band(axis, one, looks[label])
    for label, value in chart.references.items():
        axis.axhline(value, color=looks[label].color, linestyle=looks[label].line, linewidth=0.8)
    axis.set_xlabel(readable(chart.xlabel))
    axis.set_ylabel("structures (%)" if chart.steps else chart.title)
    legend_above(figure, [handle(label, look, marker=False) for label, look in looks.items()])
    return figure
