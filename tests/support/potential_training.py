"""Small M3GNets, trained for an epoch or two on a built interface or on a file of labelled structures."""

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from data.interface.potential_training.settings import TrainPotentialSettings
from tests.conftest import random_crystals

SMALL = {"units": 4, "blocks": 1, "cutoff": 3.5, "threebody_cutoff": 2.5, "max_n": 2, "max_l": 2}
TINY = {"model": SMALL, "epochs": 2, "validation": 0.2, "test": 0.2, "device": "cpu"}


def system_of(relaxations: Path) -> str:
    """The system of a folder of relaxations that `tests.support.interfaces.build_pair` made, or of its copy."""
    return str(relaxations.parents[1] / "pair.yaml")


def train_settings(relaxations: Path, folder: Path, /, **changes: Any) -> TrainPotentialSettings:
    """Settings that train a tiny model on a folder of relaxations, and write it to `pot` in another folder."""
    places = {"relaxations": str(relaxations), "folder": str(folder / "pot"), "work": str(folder / "work")}
    return TrainPotentialSettings(**{"system": system_of(relaxations), **places, **TINY, **changes})


def labelled_file(path: Path, n: int = 10, stress: bool = True, seed: int = 0, **changes: Any) -> Path:
    """Write structures of two compositions with random energies, forces and stresses."""
    rng, frames = np.random.default_rng(seed), []
    for number in range(n):
        species = ("Li", "O", "Cl", "Li") if number % 2 else ("Li", "Cl", "Cl", "O", "Li")
        [atoms] = random_crystals(1, species, np.diag([5.0, 5.2, 5.4]), seed=number).to_ase()
        results = {"energy": rng.normal(), "forces": rng.normal(size=(len(atoms), 3))}
        if stress:
            results["stress"] = rng.normal(size=6) * 0.01
        atoms.calc = SinglePointCalculator(atoms, **{**results, **changes})
        atoms.info["trajectory"] = f"run{number // 2}"
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")
    return path
