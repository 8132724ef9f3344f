"""Which curves of a training share a panel, in the order of what tells most."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from cryingan.plots.style import readable
from cryingan.storage.fraction_keys import OUT_OF_TIME, random_key, threshold_in

SHARE = "share of structures"
PERCENT = (50, 10, 1)  # of random structures


@dataclass(frozen=True)
class Line:
    """A curve: its key, its title where it is alone in its panel, and its name beside others."""

    key: str
    title: str
    label: str = ""


@dataclass(frozen=True)
class Panel:
    """Curves in one panel; `from_zero`: its axis begins at 0."""

    title: str
    ylabel: str
    lines: tuple[Line, ...]
    from_zero: bool = True


def panels_of(keys: Collection[str], unit: str = "") -> list[Panel]:
    """The panels of the logged keys, without curves that were not logged.

    Args:
        keys: of metrics.csv, as they are written today.
        unit: of the thresholds of energies.

    >>> [panel.title for panel in panels_of(["train/loss", "samples/recall", "relax/fraction_below_0"])]
    ['relaxed samples low in energy', 'samples and training set', 'losses']
    """
    logged = [
        replace(panel, lines=tuple(line for line in panel.lines if line.key in keys))
        for panel in (_low_energies(keys, unit), *PANELS)
    ]
    return [panel for panel in logged if panel.lines]


def _low_energies(keys: Collection[str], unit: str) -> Panel:
    thresholds = {key: threshold for key in keys if (threshold := threshold_in(key)) is not None}
    ordered = sorted(thresholds, key=lambda key: -float(thresholds[key]))
    named = {key: f"{thresholds[key]} {readable(unit)} or below".replace("  ", " ") for key in ordered}
    lines = tuple(Line(key, f"relaxed to {name}", name) for key, name in named.items())
    if lines:  # samples without an energy count as high, which is nothing that the model has learnt
        lines += (Line(OUT_OF_TIME, "relaxation ran out of time", "out of time"),)
    return Panel("relaxed samples low in energy", SHARE, lines)


def _one(key: str, title: str, ylabel: str, from_zero: bool = True) -> Panel:
    return Panel(title, ylabel, (Line(key, title),), from_zero)


def _precision_and_recall(group: str, title: str) -> Panel:
    words = "relaxed: " if group == "relax" else ""
    lines = (
        Line(f"{group}/precision", f"{words}precision", "precision"),
        Line(f"{group}/recall", f"{words}recall", "recall"),
    )
    return Panel(title, SHARE, lines)


PANELS = (
    _precision_and_recall("relax", "relaxed samples and training set"),
    _precision_and_recall("samples", "samples and training set"),
    _one("alloy/sro_error", "short-range-order error", "error"),
    _one("alloy/formation_energy_error", "formation-energy error", "eV/atom"),
    _one("samples/close_pairs", "close pairs per structure", "pairs"),
    _one("samples/distance", "distance between two samples", "Å"),
    Panel(
        "F1 of precision and recall",
        SHARE,
        (
            Line("relax/f1", "relaxed: F1 of precision and recall", "relaxed"),
            Line("samples/f1", "F1 of precision and recall", "as generated"),
        ),
    ),
    Panel(
        "coverage of the training structures",
        SHARE,
        (
            Line("relax/coverage", "relaxed: coverage of the training structures", "relaxed"),
            Line("samples/coverage", "coverage of the training structures", "as generated"),
        ),
    ),
    Panel(
        "below a share of random structures",
        SHARE,
        tuple(Line(random_key(percent), f"relaxed below {percent} % of random", f"{percent} %") for percent in PERCENT),
    ),
    _one("relax/distinct_minima", "relaxed: distinct minima", SHARE),
    _one("relax/kolmogorov_smirnov", "relaxed: Kolmogorov-Smirnov", "distance of energies"),
    _one("samples/neighbor_distance_error", "neighbour-distance error", "Å"),
    _one("train/score_difference", "difference of mean scores", "score", from_zero=False),
    Panel(
        "losses",
        "loss",
        (
            Line("train/loss", "loss of the network", "training structures"),
            Line("val/loss", "loss of held-out structures", "held-out structures"),
        ),
        from_zero=False,
    ),
)
"""All but the first one, from what a user asks to losses."""
