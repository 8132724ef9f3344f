"""The report of runs: report.html, and its figures as PNG and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from cryingan.errors import CryinGANError
from cryingan.report.charts import curve_charts, lambda_charts, time_charts
from cryingan.report.contents import flat
from cryingan.report.differences import settings_of
from cryingan.report.energies import energy_charts
from cryingan.report.images import write_charts
from cryingan.report.page import Section, page_content, page_html
from cryingan.report.reading import read_run
from cryingan.report.runs import Run, find_runs
from cryingan.report.table import table_rows, tables
from cryingan.storage.atomic import make_folder, replace_file, replace_folder

PAGE, FIGURES = "report.html", "report"
FIGURE_NAMES = r"[\w.-]+\.(png|csv)"


def report(
    folder: str | Path,
    output: str | Path | None = None,
    only: Sequence[Path] | None = None,
    records: Mapping[Path, Mapping[str, Any]] | None = None,
    settings: Mapping[Path, Mapping[str, Any]] | None = None,
) -> Path:
    """Write the report of the runs in a folder: report.html, a page that needs no network, and report/ beside it.

    Args:
        folder: any folder with run folders in it, or a run folder.
        output: where to write; None: into `folder`.
        only: the run folders to report, which need not be there; None: all in `folder`.
        records: by run folder what its run.json does not say, as of a run that never began: `failed`, `model`.
        settings: by run folder the settings of a run that has not written them.

    Returns:
        The path of the page.

    Raises:
        CryinGANError: the folder is not there or holds no run, or `output` cannot be written.
    """
    paths = find_runs(folder) if only is None else list(dict.fromkeys(only))
    runs = [_completed(read_run(path), records or {}, settings or {}) for path in paths]
    runs = [run for group in settings_of(runs) for run in group.runs]
    sections = sections_of(runs)
    output = make_folder(output or folder)
    page = page_html(page_content(f"Runs in {folder}", runs, sections)).encode()
    with replace_folder(output / FIGURES, FIGURE_NAMES) as figures:
        write_charts(chain.from_iterable(charts for _, _, charts in sections), figures)
        for table in tables(runs):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(table_rows(table))
            (figures / f"table_{table.level}.csv").write_text(text.getvalue())
    with replace_file(output / PAGE) as file:
        file.write(page)
    return output / PAGE


def sections_of(runs: Sequence[Run]) -> list[Section]:
    """The figures, by section."""
    return [
        ("Curves", "A line a setting; the band is the range over its seeds.", list(curve_charts(runs))),
        ("Energies", "Of the newest relaxed samples, all seeds of a setting together.", list(energy_charts(runs))),
        ("Against lambda", "Mean and range over seeds.", list(lambda_charts(runs))),
        ("Equal time", "What each setting has reached after the same time of training.", list(time_charts(runs))),
    ]


def _completed(run: Run, records: Mapping[Path, Mapping[str, Any]], settings: Mapping[Path, Mapping[str, Any]]) -> Run:
    """A run with what is known of it from elsewhere."""
    own = {key: value for key, value in run.record.items() if value is not None}
    run = replace(run, record={**records.get(run.folder, {}), **own})
    return run if run.settings else replace(run, settings=flat(settings.get(run.folder, {})))


def common_folder(paths: Sequence[Path]) -> Path:
    """The deepest folder that holds several run folders, relative to the working directory where it is inside.

    Raises:
        CryinGANError: there are none.
    """
    if not paths:
        raise CryinGANError("report: there are no runs")
    parents = [path.resolve().parents for path in paths]
    common = next(folder for folder in parents[0] if all(folder in others for others in parents))
    return common.relative_to(Path.cwd()) if common.is_relative_to(Path.cwd()) else common
