"""The card of a data set: the energies that its structures are compared with.

The card of `NAME.extxyz` or `NAME.extxyz.gz` is the file `NAME.card.yaml` beside it:

    name: Li2O-LiCl interface   # free text
    kind: interface             # interface: J/m^2 of its area | bulk (alloy, amorphous solid): eV/atom
    region: [0.42, 0.65]        # interface: its region along c, in fractions of c, which evaluate.py scores
    area_axis: c                # interface: the lattice vector that does not lie in its plane, a | b | c
    cutoffs:                    # energies that count as zero, each for one potential
      - potential: my-m3gnet
        hash: 0123456789ab...   # all 64 digits, `potential_hash` in relaxed.json; any: the name is enough
        energy_per_atom: -3.95  # eV/atom
        random: random.csv      # optional: relaxed energies of random structures, column energy_per_atom
        quantiles: {10: -3.97}  # optional, for readers: energy at or below which so many percent of them lie
    rule: maximum               # zero for any other potential: maximum | mean | percentile of training energies at rest
    percentile: 95.0            # for rule: percentile
    default_potential: potential  # what relaxes samples unless another is given: the folder of an M3GNet beside the
                                  # card, or a mapping such as {kind: gap, path: si.xml}
    made:                       # free: how the data set was made; of an interface, what makes its random structures
      seed: 0

Every key has a default. The default rule is `maximum` for an interface, whose training set holds the structures below
the cut-off, and `mean` for bulk. Data without a card are bulk.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.energies.fractions import THRESHOLDS
from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard

KINDS = {"interface": "maximum", "bulk": "mean"}  # and their default rules
RULES = ("maximum", "mean", "percentile")
ANY = "any"  # hash of a published potential whose weights are not at hand


@dataclass(frozen=True)
class Cutoff:
    """The energy that counts as zero for one potential.

    Attributes:
        potential: name of the potential.
        hash: of the potential; `any` for every potential of that name.
        energy_per_atom: eV/atom.
        random: file beside the card with relaxed energies of random structures; None without one.
        quantiles: by percentage, the energy at or below which so many of them lie, eV/atom; None where unknown.
    """

    potential: str
    hash: str
    energy_per_atom: float
    random: str | None = None
    quantiles: Mapping[int, float] | None = None

    def __post_init__(self) -> None:
        if self.hash != ANY and not re.fullmatch("[0-9a-f]{64}", str(self.hash)):
            raise CryinGANError(f"cutoffs: hash {self.hash!r} must be 64 hexadecimal digits")
        if not isinstance(self.random, str | None):
            raise CryinGANError(f"cutoffs: random {self.random!r} must be a file beside the card")
        if not (self.quantiles is None or _is_numbers(self.quantiles)):
            raise CryinGANError(f"cutoffs: quantiles {self.quantiles!r} must be energies by percentage, eV/atom")
        if not _is_number(self.energy_per_atom):
            raise CryinGANError(f"cutoffs: energy_per_atom {self.energy_per_atom!r} must be a number of eV")


@dataclass(frozen=True)
class DataCard:
    """The content of a card; its keys are those of the file."""

    kind: str = "bulk"
    name: str = ""
    area_axis: str = "c"
    cutoffs: tuple[Cutoff, ...] = ()
    rule: str = ""
    percentile: float = 95.0
    default_potential: str | Mapping[str, Any] = ""
    made: Mapping[str, Any] = field(default_factory=dict)
    region: Sequence[float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule", self.rule or KINDS.get(self.kind))
        for key, allowed in (("kind", tuple(KINDS)), ("rule", RULES), ("area_axis", ("a", "b", "c"))):
            if (value := getattr(self, key)) not in allowed:
                raise CryinGANError(f"{key}: {value!r} must be one of {', '.join(allowed)}")
        if self.region is not None and not (_is_pair(self.region) and all(map(_is_number, self.region))):
            raise CryinGANError(f"region: {self.region!r} must be [low, high], fractions of the third lattice vector")
        if not _is_number(self.percentile) or not 0 <= self.percentile <= 100:
            raise CryinGANError(f"percentile: {self.percentile!r} must be a number between 0 and 100")
        default = self.default_potential
        if not (isinstance(default, str) or (isinstance(default, Mapping) and isinstance(default.get("kind"), str))):
            raise CryinGANError(f"default_potential: {default!r} must be a folder beside the card, or have a kind")

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The thresholds below which energies of such a set are low, unless others are given."""
        return THRESHOLDS[self.kind]

    def cutoff(self, potential: PotentialCard) -> Cutoff | None:
        """The cut-off of a potential: the one with its name and hash, else the one with its name and the hash `any`."""
        named = {cutoff.hash: cutoff for cutoff in reversed(self.cutoffs) if cutoff.potential == potential.name}
        return named.get(potential.hash) or named.get(ANY)

    def cutoff_by_rule(self, energies: np.ndarray) -> float:
        """The energy that counts as zero, eV/atom, from the training energies (structures,) in eV/atom."""
        if self.rule == "maximum":
            return float(energies.max())
        return float(energies.mean() if self.rule == "mean" else np.percentile(energies, self.percentile))


def read_data_card(data_path: str | Path, card: str | Path | None = None) -> DataCard:
    """Read the card of a data file.

    Args:
        data_path: the data file.
        card: its card; None for the one beside the data file, or that of bulk data when there is none.

    Raises:
        CryinGANError: the card cannot be read, or has an unknown key or value.
    """
    import yaml

    path = card_path(data_path) if card is None else Path(card)
    if card is None and not path.exists():
        return DataCard()
    try:
        content = yaml.safe_load(path.read_text()) or {}
        known = [field.name for field in fields(DataCard)]
        if unknown := sorted(set(content) - set(known)):
            raise CryinGANError(f"unknown key {unknown[0]!r}; the keys are {', '.join(known)}")
        return DataCard(**{**content, "cutoffs": tuple(map(_cutoff, content.get("cutoffs") or ()))})
    except (OSError, TypeError, AttributeError, ValueError, yaml.YAMLError, CryinGANError) as error:
        raise CryinGANError(f"{path}: {' '.join(str(error).split())}") from error


def card_path(data_path: str | Path) -> Path:
    """The default card of a data file: NAME.card.yaml beside it."""
    data_path = Path(data_path)
    stem = re.sub(r"(\.[^.]+)?(\.(gz|bz2|xz))?$", "", data_path.name)
    return data_path.with_name(f"{stem}.card.yaml")


def data_source(
    path: str | Path, card: str | Path | None = None, sort_species: bool = False, types: Sequence[str] = ()
) -> dict[str, Any]:
    """Plain values with which any process finds a data set, as `TrainingScale` takes them.

    Args:
        path: the data file.
        card: its card; None for the one beside the data file.
        sort_species: match frames whose atoms come in another order by species.
        types: elements of the types 1, 2, ... of a file that gives none.
    """
    resolved = {"path": str(Path(path).resolve()), "card": card and str(Path(card).resolve())}
    return {**resolved, "sort_species": sort_species, "types": list(types)}


def default_potential(data_path: str | Path, card: str | Path | None = None) -> dict[str, Any] | None:
    """Arguments of `cryingan.potentials.potential.load_potential` for the potential of a data set's card, or None.

    Args:
        data_path: the data file.
        card: its card; None for the one beside the data file.

    Raises:
        CryinGANError: the card cannot be read.
    """
    default, folder = read_data_card(data_path, card).default_potential, Path(card or card_path(data_path)).parent
    given = {"kind": "m3gnet", "path": default} if isinstance(default, str) else dict(default)
    if given.get("path"):
        given["path"] = str(folder / given["path"])
    return given if default else None


def read_random_energies(path: Path) -> np.ndarray:
    """Read relaxed energies of random structures, the column `energy_per_atom` of a CSV file.

    Returns:
        eV/atom, shape (structures,); NaN for a structure without an energy.

    Raises:
        CryinGANError: the file cannot be read.
    """
    try:
        with path.open(newline="") as file:
            return np.array([float(row["energy_per_atom"] or "nan") for row in csv.DictReader(file)])
    except (OSError, KeyError, ValueError) as error:
        raise CryinGANError(f"{path}: a CSV file with a column energy_per_atom is wanted: {error}") from error


def _cutoff(values: Any) -> Cutoff:
    try:
        return Cutoff(**values)
    except TypeError as error:
        raise CryinGANError(
            "cutoffs: each needs potential, hash and energy_per_atom, and perhaps random and quantiles, nothing else"
        ) from error


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _is_numbers(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_number, (*value, *value.values())))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
