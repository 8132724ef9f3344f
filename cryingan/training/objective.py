"""The one number that a sweep over settings optimises."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from cryingan.errors import CryinGANError
from cryingan.storage.fraction_keys import current_key


def objective_value(key: str, folders: Iterable[str]) -> float:
    """Return the last value of a key in metrics.csv, whether this job or an earlier one has logged it.

    Args:
        key: a column of metrics.csv, also by a former name.
        folders: run folders; of several replicas the mean is returned.

    Raises:
        CryinGANError: a run has not logged the key; names those that it has.
    """
    return fmean(_last_value(current_key(key), Path(folder) / "metrics.csv") for folder in folders)


def _last_value(key: str, path: Path) -> float:
    with path.open(newline="") as file:
        rows = [{current_key(name): value for name, value in row.items()} for row in csv.DictReader(file)]
    values = [row[key] for row in rows if row.get(key)]
    if not values:
        known = sorted({name for row in rows for name, value in row.items() if value} - {"epoch"})
        raise CryinGANError(f"objective={key} has not been logged; {path} has {', '.join(known)}")
    return float(values[-1])


def require_objective(objective: str | None, callbacks: dict[str, Any], searches: bool) -> None:
    """Refuse, before training, an objective that cannot be logged, or none where a sweeper needs it.

    Args:
        objective: the key.
        callbacks: settings of the callbacks by name.
        searches: the sweeper chooses values of later jobs by what earlier ones return.

    Raises:
        CryinGANError: says which objective or callback is missing.
    """
    if objective is None and searches:
        raise CryinGANError("the sweeper optimises a value: add objective=KEY, such as objective=samples/close_pairs")
    if objective and objective.startswith("relax/") and "relax" not in callbacks:
        raise CryinGANError(f"objective={objective} needs callbacks=relax")
    if objective and objective.startswith("time/"):
        raise CryinGANError(f"objective={objective}: times are not in metrics.csv")
