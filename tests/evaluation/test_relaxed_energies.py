"""Statistics of relaxations, of samples of which none converged."""

import json
import math

from cryingan.evaluation.origin import Origin
from cryingan.evaluation.relaxed_energies import relaxed_energies


def test_nothing_converged():
    """The histogram has no shares, its figure is drawn, and what is written is JSON."""
    row = {"energy_per_atom_initial": -3.0, "energy_per_atom": math.nan, "energy": math.nan, "steps": math.nan}
    origin = Origin(generated=2, in_order=True, energies={0: row, 1: row}, unit="J/m^2", zero=-4.0)
    summary, scores = relaxed_energies(origin, "interface")
    assert summary["percent_below_histogram"] is None
    assert summary["percent_above_histogram"] is None
    json.dumps(summary, allow_nan=False)
    assert scores.figures["energies"]().axes
