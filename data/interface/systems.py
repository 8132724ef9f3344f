"""Interface systems: two crystals, their surfaces and common cell, and the disordered region between them.

A system is one YAML file; those in data/interface/systems/ come with the project. docs/interfaces.md shows how to write
one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cryingan.errors import CryinGANError

SYSTEMS = Path(__file__).parent / "systems"


@dataclass
class Crystal:
    """A bulk crystal: a structure file, or a space group with its lattice and sites.

    Attributes:
        file: CIF or any other file that ASE reads, relative to the system's file; replaces all other keys.
        spacegroup: symbol of the space group, such as Fm-3m, in its conventional cell.
        lattice: a, b, c in Angstrom and alpha, beta, gamma in degrees.
        sites: for each element, the fractional coordinates of one atom of each orbit.
        source: reference for lattice and sites.
    """

    file: str | None = None
    spacegroup: str = ""
    lattice: list[float] = field(default_factory=list)
    sites: dict[str, Any] = field(default_factory=dict)
    source: str = ""


@dataclass
class Slab:
    """A slab of one of the crystals.

    Attributes:
        crystal: crystal that the slab is cut from.
        miller: Miller indices of the surface, in the crystal's conventional cell.
        layers: number of atomic layers, without those of the disordered region; atoms of a layer have the same height.
        facing: elements of the layer that faces the other slab, such as O; any by default.
        neutralise: remove a dipole by moving half of the outermost layer to the side that faces the other slab, into
            the disordered region. The two halves count as two of `layers`.
        layer_tolerance: atoms whose heights differ by less are in one layer, Angstrom.
        oxidation_states: oxidation state of each element; guessed by default.
    """

    crystal: Crystal = field(default_factory=Crystal)
    miller: list[int] = MISSING
    layers: int = MISSING
    facing: str | None = None
    neutralise: bool = False
    layer_tolerance: float = 0.3
    oxidation_states: dict[str, float] = field(default_factory=dict)


@dataclass
class Matching:
    """Limits of the common cell of the two surfaces (Zur and McGill, J. Appl. Phys. 55, 378 (1984)).

    Attributes:
        max_area: largest area, Angstrom^2.
        max_length_mismatch: largest mismatch of each lattice vector, as a fraction of the substrate's length.
        max_angle_mismatch: largest mismatch of the angle between them, as a fraction of the substrate's angle.
        determinants: determinants of the superlattice matrices of substrate and film; those of the smallest cell by
            default.
    """

    max_area: float = 250.0
    max_length_mismatch: float = 0.04
    max_angle_mismatch: float = 0.02
    determinants: list[int] = field(default_factory=list)


@dataclass
class Region:
    """The disordered region between the slabs.

    Attributes:
        formula_units: formula units of the film's crystal that are placed at random in the cell.
        thickness: distance between the layers of the slabs that face each other, Angstrom.
        minimum_distances: distance of a random atom from any other, Angstrom, for each pair of elements such as Li-O.
    """

    formula_units: int = MISSING
    thickness: float = MISSING
    minimum_distances: dict[str, float] = field(default_factory=dict)


@dataclass
class System:
    """An interface between a substrate, which keeps its lattice constants, and a film, which is strained to fit.

    Attributes:
        name: name for readers.
        substrate: the lower slab.
        film: the upper slab.
        matching: limits of the common cell.
        region: disordered region between them.
        vacuum: thickness of the vacuum, Angstrom.
        relax_crystals: relax both crystals first, cell included, with the potential.
        kept: share of the relaxed structures, lowest energies first, that becomes the training set; the highest energy
            in it is the cut-off.
        folder: folder of the system's file, to which paths in it are relative.
    """

    name: str = MISSING
    substrate: Slab = field(default_factory=Slab)
    film: Slab = field(default_factory=Slab)
    matching: Matching = field(default_factory=Matching)
    region: Region = field(default_factory=Region)
    vacuum: float = 15.0
    relax_crystals: bool = True
    kept: float = 0.75
    folder: str = "."


def system_path(system: str) -> Path:
    """The file of a system, given by the name of one that comes with the project or by its path.

    Raises:
        CryinGANError: there is none.
    """
    path = Path(system) if Path(system).suffix in (".yaml", ".yml") else SYSTEMS / f"{system}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in SYSTEMS.glob("*.yaml")))
        raise CryinGANError(f"system={system} is neither one of {known} nor a YAML file")
    return path


def read_system(path: Path) -> System:
    """Read a system's file.

    Raises:
        CryinGANError: it cannot be read, or a key is unknown, missing or of the wrong type.
    """
    try:
        given = OmegaConf.create(yaml.safe_load(path.read_text()) or {})
        system = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(System), given))
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise CryinGANError(f"{path}: {' '.join(str(error).split())}") from error
    if problem := _problem(system):
        raise CryinGANError(f"{path}: {problem}")
    system.folder = str(path.parent)
    return system


def _problem(system: System) -> str | None:
    """The first key that is out of range, in words; None if all are in range."""
    region, matching = system.region, system.matching
    above = {"vacuum": system.vacuum, "region.thickness": region.thickness, "matching.max_area": matching.max_area}
    for side in ("substrate", "film"):
        slab = getattr(system, side)
        above |= {f"{side}.layers": slab.layers, f"{side}.layer_tolerance": slab.layer_tolerance}
    if low := [f"{name}={value:g} must be above 0" for name, value in above.items() if not value > 0]:
        return low[0]
    if not 0 < system.kept <= 1:
        return f"kept={system.kept:g} must be a share, above 0 and at most 1"
    if region.formula_units < 0:
        return f"region.formula_units={region.formula_units} must be at least 0"
    negative = [pair for pair, distance in region.minimum_distances.items() if not distance >= 0]
    return f"region.minimum_distances.{negative[0]} must be at least 0" if negative else None
