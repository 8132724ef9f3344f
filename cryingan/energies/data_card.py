"""The card of a data set: what its energies are measured against.

It is the file `NAME.card.yaml` beside a data file `NAME.extxyz` or `NAME.extxyz.gz`:

    name: Li2O-LiCl interface   # free text
    kind: interface             # interface: J/m^2 of its area | bulk (alloy, amorphous solid): eV/atom
    area_axis: c                # interface: the lattice vector that does not lie in its plane, a | b | c
    cutoffs:                    # energies that count as zero, each for one potential
      - potential: my-m3gnet
        hash: 0123456789ab...   # all 64 digits, `potential_hash` in relaxed.json; any: its name decides
        energy_per_atom: -3.95  # eV/atom
        random: random.csv      # may be left out: relaxed energies of random structures, column energy_per_atom
    rule: maximum               # zero for any other potential: maximum | mean | percentile of the training energies
    percentile: 95.0            # for rule: percentile
    default_potential: potential  # folder beside the card: an M3GNet that relaxes samples unless another is given
    made:                       # free: how the data set was made
      seed: 0

Every key has a default. The rule is by default `maximum` for an interface, where the training set holds the structures
below the cut-off, and `mean` for bulk. Data without a card are bulk.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard

RULES = {"interface": "maximum", "bulk": "mean"}  # what each kind takes unless the card says otherwise
ANY = "any"  # hash of a published potential whose weights are not at hand


@dataclass(frozen=True)
class DataCard:
    """What a data set's energies are measured against; its keys are those of the file."""

    kind: str = "bulk"
    name: str = ""
    area_axis: str = "c"
    cutoffs: tuple[Mapping[str, Any], ...] = ()
    rule: str = ""
    percentile: float = 95.0
    default_potential: str = ""
    made: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in RULES:
            raise CryinGANError(f"kind: {self.kind!r} must be one of {', '.join(RULES)}")
        object.__setattr__(self, "rule", self.rule or RULES[self.kind])
        if self.rule not in ("maximum", "mean", "percentile"):
            raise CryinGANError(f"rule: {self.rule!r} must be one of maximum, mean, percentile")
        if self.area_axis not in ("a", "b", "c"):
            raise CryinGANError(f"area_axis: {self.area_axis!r} must be one of a, b, c")
        if not _is_number(self.percentile) or not 0 <= self.percentile <= 100:
            raise CryinGANError(f"percentile: {self.percentile!r} must be a number between 0 and 100")
        if not isinstance(self.default_potential, str):
            raise CryinGANError(f"default_potential: {self.default_potential!r} must be a folder beside the card")
        for cutoff in self.cutoffs:
            _check_cutoff(cutoff)

    def cutoff(self, potential: PotentialCard) -> float | None:
        """The energy that counts as zero for a potential of this name and hash, eV/atom; None when it is not listed.

        A cut-off with the very hash comes before one with the hash `any`, wherever they stand in the list.
        """
        return None if (listed := self._listed(potential)) is None else float(listed["energy_per_atom"])

    def only_by_name(self, potential: PotentialCard) -> bool:
        """Whether a cut-off is listed for the name of a potential and `any` hash, and none for its own hash."""
        listed = self._listed(potential)
        return listed is not None and listed["hash"] == ANY

    def random_file(self, potential: PotentialCard) -> str | None:
        """The file, beside the card, with a potential's energies of random structures; None when there is none."""
        return (self._listed(potential) or {}).get("random")

    def _listed(self, potential: PotentialCard) -> Mapping[str, Any] | None:
        named = [cutoff for cutoff in self.cutoffs if cutoff["potential"] == potential.name]
        fitting = (cutoff for value in (potential.hash, ANY) for cutoff in named if cutoff["hash"] == value)
        return next(fitting, None)

    def cutoff_by_rule(self, energies: np.ndarray) -> float:
        """The energy that counts as zero, eV/atom, from the training energies (structures,) in eV/atom."""
        if self.rule == "maximum":
            return float(energies.max())
        return float(energies.mean() if self.rule == "mean" else np.percentile(energies, self.percentile))


def read_data_card(data_path: str | Path, card: str | Path | None = None) -> DataCard:
    """The card of a data file.

    Args:
        data_path: the data file.
        card: its card; without it the one beside the data file, or that of bulk data when there is none.

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
        return DataCard(**{**content, "cutoffs": tuple(content.get("cutoffs") or ())})
    except (OSError, TypeError, AttributeError, ValueError, yaml.YAMLError, CryinGANError) as error:
        raise CryinGANError(f"{path}: {' '.join(str(error).split())}") from error


def card_path(data_path: str | Path) -> Path:
    """Where the card of a data file lies unless another place is given: NAME.card.yaml beside it."""
    data_path = Path(data_path)
    stem = re.sub(r"(\.[^.]+)?(\.(gz|bz2|xz))?$", "", data_path.name)
    return data_path.with_name(f"{stem}.card.yaml")


def data_source(path: str | Path, card: str | Path | None = None, sort_species: bool = False) -> dict[str, Any]:
    """Plain values that lead any process to all structures of a data set, as `TrainingScale` takes them.

    What energies are measured against is a property of the data set: structures that a run holds out count, too, so
    that runs with different splits compare.

    Args:
        path: the data file.
        card: its card; without it the one beside the data file.
        sort_species: match frames whose atoms come in another order by species.
    """
    resolved = {"path": str(Path(path).resolve()), "card": card and str(Path(card).resolve())}
    return {**resolved, "sort_species": sort_species}


def default_potential(data_path: str | Path, card: str | Path | None = None) -> dict[str, Any] | None:
    """Arguments of `cryingan.potentials.potential.load_potential` for the potential of a data set's card, or None.

    Args:
        data_path: the data file.
        card: its card; without it the one beside the data file.

    Raises:
        CryinGANError: the card cannot be read.
    """
    name = read_data_card(data_path, card).default_potential
    folder = (card_path(data_path) if card is None else Path(card)).parent
    return {"kind": "m3gnet", "path": str(folder / name)} if name else None


def random_energies(card: DataCard, potential: PotentialCard, folder: Path) -> np.ndarray | None:
    """Energies of random structures that a card lists for a potential, eV/atom, shape (structures,), NaN for none.

    Args:
        card: the card.
        potential: what relaxed them.
        folder: where the card lies.

    Returns:
        The energies of all structures that were tried; None where the card lists no file.

    Raises:
        CryinGANError: the file cannot be read.
    """
    if (name := card.random_file(potential)) is None:
        return None
    try:
        with (folder / name).open(newline="") as file:
            return np.array([float(row["energy_per_atom"] or "nan") for row in csv.DictReader(file)])
    except (OSError, KeyError, ValueError) as error:
        raise CryinGANError(f"{folder / name}: a CSV file with a column energy_per_atom is wanted: {error}") from error


def _check_cutoff(cutoff: Any) -> None:
    if not isinstance(cutoff, Mapping) or set(cutoff) - {"random"} != {"potential", "hash", "energy_per_atom"}:
        raise CryinGANError("cutoffs: each needs potential, hash and energy_per_atom, and perhaps random, nothing else")
    if cutoff["hash"] != ANY and not re.fullmatch("[0-9a-f]{64}", str(cutoff["hash"])):
        raise CryinGANError(f"cutoffs: hash {cutoff['hash']!r} must be 64 hexadecimal digits")
    if not isinstance(cutoff.get("random", ""), str):
        raise CryinGANError(f"cutoffs: random {cutoff['random']!r} must be a file beside the card")
    if not _is_number(cutoff["energy_per_atom"]):
        raise CryinGANError(f"cutoffs: energy_per_atom {cutoff['energy_per_atom']!r} must be a number of eV")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
