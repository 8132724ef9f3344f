"""An interface of 31 atoms that builds in seconds, and how the tests build it."""

import csv
from pathlib import Path
from typing import Any

import ase.io

from data.interface import build
from data.interface.settings import BuildSettings
from tests.support.bulk_crystals import LI2O, LICL, made_crystal

SYSTEM = """
name: my pair
substrate: {crystal: {file: li2o.cif}, miller: [1, 0, 0], layers: 3, facing: O, neutralise: true}
film: {crystal: {file: licl.cif}, miller: [1, 0, 0], layers: 1}
matching: {max_area: 60, determinants: [5, 4]}
region:
  formula_units: 4
  thickness: 7.5
  minimum_distances: {Li-Li: 1.9, Li-O: 1.6, Li-Cl: 1.9, Cl-Cl: 2.5, O-Cl: 2.3}
relax_crystals: false
kept: 0.5
"""
KEPT = 0.5  # of SYSTEM
STRUCTURES, FRAMES = 6, 3  # of the fixture `built`
POTENTIAL = {"kind": "pair", "radii": {"Li": 0.6, "O": 1.45, "Cl": 1.8}}
QUICK = {"kind": "pair", "radii": {"Li": 0.55, "O": 1.5, "Cl": 1.75}}
SERIAL = {"backend": "serial", "progress": False}
RELAX = {**SERIAL, "max_steps": 300, "fmax": 0.5}


def write_system(folder: Path) -> Path:
    """Write the file of the system, and its crystals as CIF beside it."""
    for name, crystal in (("li2o", LI2O), ("licl", LICL)):
        ase.io.write(folder / f"{name}.cif", made_crystal(crystal))
    path = folder / "pair.yaml"
    path.write_text(SYSTEM)
    return path


def build_settings(system: Path, n: int, **changes: Any) -> BuildSettings:
    """Settings that build n structures of a system in `set` beside its file."""
    given = {"potential": POTENTIAL, "relax": RELAX, "frames": 3, "folder": str(system.parent / "set")}
    return BuildSettings(system=str(system), n=n, **{**given, **changes})


def energy_rows(folder: Path) -> list[dict[str, str]]:
    """The rows of a set's energies.csv."""
    with (folder / "energies.csv").open() as file:
        return list(csv.DictReader(file))


def build_pair(folder: Path, n: int, frames: int) -> Path:
    """Build n structures of the system in a folder, with the set in `set`.

    Returns:
        The folder of the relaxations.
    """
    return build.build(build_settings(write_system(folder), n, frames=frames)) / "work"
