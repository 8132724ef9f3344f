"""Samples of a small interface, and how tests relax them."""

import numpy as np

from cryingan.relaxation.settings import RelaxSettings
from cryingan.samples.plan import Plan

CELL = np.diag([7.0, 7.5, 8.0])
SPECIES = ("Li", "O", "Li", "Cl", "O", "O", "Li", "Cl")
FAST = {"backend": "serial", "fmax": 0.1, "progress": False}
QUIET = RelaxSettings(backend="serial", progress=False)
CARD = "kind: interface\nrule: percentile\npercentile: 50\n"


def plan(**changes):
    """A quick plan with the analytic pair potential."""
    return Plan(**{"potential": {"kind": "pair"}, "relax": FAST, "pictures": 0, "molecules": 0, **changes})
