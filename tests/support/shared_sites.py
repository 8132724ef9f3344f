"""Structures that share all sites but one: a small interface with one disordered atom."""

import numpy as np

from cryingan.structures.crystals import Crystals

SPECIES = ("Li", "Cl", "Li", "O", "Li")
CELL = np.diag([6.0, 7.0, 12.0])
PLACES = np.array([[0.1, 0.1, 0.1], [0.6, 0.1, 0.1], [0.1, 0.6, 0.1], [0.6, 0.6, 0.1], [0.4, 0.4, 0.6]])
SCATTER = np.array([0.05, 0.05, 0.05, 0.05, 0.7])[:, None]  # Angstrom; the last atom is disordered


def interfaces(number, seed, scatter=SCATTER):
    """So many structures, whose atoms scatter about their places by so much."""
    moves = np.random.default_rng(seed).normal(size=(number, 5, 3)) * scatter
    return Crystals(PLACES + moves @ np.linalg.inv(CELL), CELL, SPECIES)
