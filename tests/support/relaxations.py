"""Small structures to relax, and comparisons of results."""

import numpy as np
from ase.build import bulk

from cryingan.relaxation.relax import relax
from cryingan.relaxation.settings import RelaxSettings
from cryingan.structures.crystals import Crystals

SAME_STEP = 1e-10  # Angstrom or eV, float64
SAME_ENERGY = 1e-6  # eV, batch against single


def rattled(n, stdev=0.25, seed=0):
    """Copper-gold in a skewed 8-atom cell, rattled."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", a=3.5) * 2
    atoms.symbols[::3] = "Au"
    frames = [atoms.copy() for _ in range(n)]
    for frame in frames:
        frame.positions += rng.normal(0, stdev, frame.positions.shape)
    return Crystals.from_ase(frames)


def quietly(crystals, potential, output=None, numbers=None, source=None, **settings):
    """Results of `relax` with some settings, without progress."""
    settings = RelaxSettings(**{"progress": False, **settings})
    return relax(crystals, potential, settings, output=output, numbers=numbers, source=source)


def here(crystals, potential, **arguments):
    """The same in this process."""
    return quietly(crystals, potential, backend="serial", **arguments)


def distance(first, second):
    """Largest distance between equal atoms of two Crystals, by the nearest image, Angstrom."""
    difference = first.fractional - second.fractional
    return np.abs((difference - np.round(difference)) @ first.cell).max()


def assert_same(first, second, tolerance=0.0):
    """The same samples ended in the same way, with energies that agree within `tolerance`, eV."""
    assert first.samples.tolist() == second.samples.tolist()
    assert first.reason.tolist() == second.reason.tolist()
    assert first.steps.tolist() == second.steps.tolist()
    np.testing.assert_allclose(first.energy_final, second.energy_final, rtol=0, atol=tolerance)
