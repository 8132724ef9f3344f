"""metrics.csv: every logged value, one row per epoch."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import make_folder, replace_file
from cryingan.storage.fraction_keys import current_key


class MetricsCSV(Logger):
    """A Lightning logger that collects the values of an epoch in one row of metrics.csv.

    Values are on the disk as soon as they are logged, so a checkpoint is never ahead of the file. When a run resumes,
    the rows of the epochs that it repeats are dropped. Keys under `time/`, which differ between two runs of the same
    seed, go to the other loggers only.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self.rows: dict[int, dict[str, str]] | None = None
        self.columns = ["epoch"]
        self._last_row = 0  # where the newest row starts in the file

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """There is one file per run folder."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The settings are in config.yaml."""

    def begin(self, epoch: int) -> None:
        """Keep the rows before `epoch`, the first that this run trains; later calls do nothing.

        Callbacks that may log late values of earlier epochs call this when training starts.
        """
        if self.rows is None:
            self.rows = {number: row for number, row in self._read().items() if number < epoch}
            self._rewrite()

    def value(self, epoch: int, name: str) -> float | None:
        """The value logged in an epoch, in this run or before it resumed; None where there is none."""
        text = (self.rows or {}).get(epoch, {}).get(name)
        return None if text is None else float(text)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Add values to the row of `metrics["epoch"]`; values without an epoch go to the other loggers only."""
        if "epoch" not in metrics:
            return
        values = {name: repr(float(value)) for name, value in metrics.items() if not name.startswith("time/")}
        epoch = int(metrics["epoch"])
        values["epoch"] = str(epoch)
        self.begin(epoch)
        newest = next(reversed(self.rows), -1)
        self.rows.setdefault(epoch, {}).update(values)
        if epoch < newest or not set(values) <= set(self.columns):
            self._rewrite()
        else:
            self._write_last(epoch, appended=epoch > newest)

    def _read(self) -> dict[int, dict[str, str]]:
        """The rows on the disk, without one that a kill cut short."""
        if not self.path.exists():
            return {}
        text = self.path.read_text()
        whole = text[: text.rfind("\n") + 1]
        rows = csv.DictReader(io.StringIO(whole))
        return {int(row["epoch"]): {current_key(name): value for name, value in row.items() if value} for row in rows}

    def _rewrite(self) -> None:
        names = sorted({name for row in self.rows.values() for name in row} - {"epoch"})
        self.columns = ["epoch", *names]
        make_folder(self.path.parent)
        self.rows = dict(sorted(self.rows.items()))
        lines = [",".join(self.columns) + "\n"] + [self._line(row) for row in self.rows.values()]
        with replace_file(self.path) as file:
            file.write("".join(lines).encode())
        self._last_row = sum(map(len, lines)) - (len(lines[-1]) if self.rows else 0)

    def _write_last(self, epoch: int, appended: bool) -> None:
        try:
            with self.path.open("r+b") as file:
                if appended:
                    self._last_row = file.seek(0, io.SEEK_END)
                file.seek(self._last_row)
                file.write(self._line(self.rows[epoch]).encode())
                file.truncate()
        except OSError as error:
            raise CryinGANError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def _line(self, row: dict[str, str]) -> str:
        return ",".join(row.get(name, "") for name in self.columns) + "\n"
