"""A workspace and a report of the runs of a Weights & Biases project.

    python -m callbacks.dashboard project=cryingan                           # makes both, and prints where they are
    python -m callbacks.dashboard project=cryingan tags=[li2o_licl]          # of one data set
    python -m callbacks.dashboard project=cryingan save=dashboard.json       # what would be sent; needs no login

Lines are means of the runs of a group, which are those that differ in nothing but the seed; bands are their range.
Needs `wandb login` and `pip install -e .[dashboard]`. The workspace is a saved view, beside those that there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callbacks.dashboard_panels import SETTINGS, Section, best, columns, sections
from cryingan.energies.fractions import THRESHOLDS
from cryingan.errors import CryinGANError
from cryingan.storage.atomic import write_json
from cryingan.storage.text import in_one_line
from data.command import run_command

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

NAME = "CryinGAN"
WIDTH, HEIGHT, PER_ROW = 8, 6, 3  # of a panel in a report that is 24 wide
MOST_RUNS = 100  # lines or groups in a panel
ORDER = best("relax/f1")  # best runs first


@dataclass
class DashboardSettings:
    """What is shown, and where.

    Attributes:
        project: W&B project.
        entity: user or team that has it; null: that of the login.
        tags: show only runs with one of these tags, such as [li2o_licl]; []: all runs.
        thresholds: of relaxed energies, as in callbacks.relax.thresholds.
        save: write what would be sent to this file, as JSON, instead of sending it.
    """

    project: str = "cryingan"
    entity: str | None = None
    tags: list[str] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=lambda: list(THRESHOLDS["interface"]))
    save: str | None = None


def main(settings: DashboardSettings) -> str:
    """Make the workspace and the report, or write what they would be, and return where they are.

    Raises:
        CryinGANError: a package is missing, the user is not logged in, or W&B refuses.
    """
    try:
        import wandb_workspaces  # noqa: F401
    except ImportError as error:
        raise CryinGANError("needs its package: pip install -e .[dashboard]") from error
    if settings.save is not None:
        write_json(Path(settings.save), specification(settings))
        return settings.save
    return "\n".join(_send(settings))


def specification(settings: DashboardSettings) -> dict[str, Any]:
    """What W&B would get, plain values: `workspace` and `report`."""
    entity = settings.entity or ""
    parts = {"workspace": workspace(settings, entity), "report": report(settings, entity)}
    return {name: part._to_model().spec.model_dump(by_alias=True, exclude_none=True) for name, part in parts.items()}


def _send(settings: DashboardSettings) -> list[str]:
    import wandb

    try:
        entity = settings.entity or wandb.Api().default_entity
        parts = [workspace(settings, entity), report(settings, entity)]
        return [part.save().url for part in parts]
    except Exception as error:  # of W&B, of its packages, of the network
        hint = "wandb login, or save=FILE, which needs none"
        raise CryinGANError(f"W&B: {in_one_line(error)}; {hint}") from error


def workspace(settings: DashboardSettings, entity: str) -> Workspace:
    """The workspace of a project.

    Args:
        settings: what is shown.
        entity: user or team that has the project.
    """
    from wandb_workspaces import workspaces as ws

    axes = {"x_axis": "epoch"}
    shown = [
        ws.Section(name=one.name, panels=_panels(one), is_open=True, panel_settings=ws.SectionPanelSettings(**axes))
        for one in sections(settings.thresholds)
    ]
    runs = ws.RunsetSettings(
        groupby=[ws.Metric("Group")],
        filters=[ws.Tags().isin(settings.tags)] if settings.tags else "",
        order=[ws.Ordering(ws.Summary(ORDER), ascending=False)],
        pinned_columns=_columns(settings),
    )
    return ws.Workspace(
        entity=entity,
        project=settings.project,
        name=NAME,
        sections=shown,
        settings=ws.WorkspaceSettings(max_runs=MOST_RUNS, **axes),
        runset_settings=runs,
    )


def report(settings: DashboardSettings, entity: str) -> Report:
    """The report of a project; arguments as `workspace`."""
    from wandb_workspaces import expr
    from wandb_workspaces.reports import v2 as wr

    def runs() -> wr.Runset:
        return wr.Runset(
            project=settings.project,
            groupby=["run.group"],
            filters=[expr.Tags().isin(settings.tags)] if settings.tags else "",
            order=[wr.OrderBy(wr.SummaryMetric(ORDER), ascending=False)],
            pinned_columns=_columns(settings),
        )

    blocks: list[Any] = []
    for section in sections(settings.thresholds):
        grid = wr.PanelGrid(runsets=[runs()], panels=_placed(_panels(section)))
        blocks += [wr.H2(section.name), wr.P(section.text), grid]
    title = f"{NAME}: runs of {settings.project}"
    return wr.Report(project=settings.project, entity=entity, title=title, blocks=blocks, width="fluid")


def _columns(settings: DashboardSettings) -> list[str]:
    """Columns of the table of runs: settings, then best values."""
    own = [f"config:{name}.value{''.join(f'.{part}' for part in rest)}" for name, *rest in map(_parts, SETTINGS)]
    return ["run:displayName", *own, *(f"summary:{best(key)}" for key in columns(settings.thresholds))]


def _parts(key: str) -> list[str]:
    return key.split(".")


def _panels(section: Section) -> list[Any]:
    from wandb_workspaces.reports import v2 as wr

    band = {"groupby_aggfunc": "mean", "groupby_rangefunc": "minmax", "max_runs_to_show": MOST_RUNS}
    curves = [wr.LinePlot(title=title, x="epoch", y=[key], **band) for key, title in section.curves.items()]
    points = [
        wr.ScatterPlot(title=f"best: {title}", x=wr.Config("lambda"), y=wr.SummaryMetric(best(key)))
        for key, title in section.against_lambda.items()
    ]
    media = [wr.MediaBrowser(title=title, media_keys=[key]) for key, title in section.media.items()]
    return [*curves, *points, *media]


def _placed(panels: list[Any]) -> list[Any]:
    """Panels of a report in rows of three."""
    from wandb_workspaces.reports import v2 as wr

    for number, panel in enumerate(panels):
        row, column = divmod(number, PER_ROW)
        panel.layout = wr.Layout(x=WIDTH * column, y=HEIGHT * row, w=WIDTH, h=HEIGHT)
    return panels


if __name__ == "__main__":
    run_command(main, DashboardSettings)
