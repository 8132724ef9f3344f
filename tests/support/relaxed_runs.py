"""Trainings that relax samples, and what they log."""

import csv

RELAX = (
    "callbacks=relax",
    "potential=pair",
    "relax.backend=serial",
    "relax.fmax=0.1",
    "callbacks.relax.every_n_epochs=2",
    "callbacks.relax.n_samples=4",
    "callbacks.relax.pictures=0",
    "callbacks.relax.thresholds=[0,-0.49]",
)
KEYS = {
    f"relax/fraction_below_{name}"
    for name in ("0", "0_low", "0_high", "minus_0_49", "minus_0_49_low", "minus_0_49_high")
}
KEYS |= {f"relax/{name}" for name in ("failed", "unconverged", "out_of_time", "close_pairs")}
KEYS |= {"relax/distinct_minima", "relax/distinct_below_0", "relax/distinct_below_minus_0_49"}
KEYS |= {"relax/kolmogorov_smirnov", "relax/unseen_minima"}
AVERAGES = ("steps", "energy", "energy_median", "energy_drop")
KEYS |= {f"relax/{name}{end}" for name in AVERAGES for end in ("", "_low", "_high")}


def rows(run):
    """The rows of metrics.csv, without empty fields."""
    with (run / "metrics.csv").open() as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
