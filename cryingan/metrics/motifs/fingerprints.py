"""Coordination-motif fingerprints of atoms: probabilities of coordination numbers and likeness to ideal motifs.

Definitions: docs/dismai_bench.md, "Motif fingerprint".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ase import Atoms

from cryingan.errors import CryinGANError
from cryingan.metrics.motifs.crystal_nn import Coordination, coordination
from cryingan.metrics.motifs.order_parameters import MOTIFS, order_parameters

LARGEST_NUMBER = 24
"""Largest coordination number that has features; the probability of a larger one is lost."""
NUMBERS = range(1, LARGEST_NUMBER + 1)
MOTIF_NAMES = tuple(f"{motif} CN_{number}" for number in NUMBERS for motif in MOTIFS.get(number, ()))
OPS_NAMES = tuple(f"{name} CN_{number}" for number in NUMBERS for name in ("wt", *MOTIFS.get(number, ())))
WEIGHT_COLUMNS = np.array([OPS_NAMES.index(f"wt CN_{number}") for number in NUMBERS])
MOTIF_COLUMNS = np.array([OPS_NAMES.index(name) for name in MOTIF_NAMES])


@dataclass(frozen=True)
class MotifSettings:
    """What to describe.

    Attributes:
        species: chemical symbols of the atoms to describe.
        oxidation_states: of every element; only ions of opposite charge are neighbours. Without them, all atoms are.
        anions: chemical symbols whose fractions among the neighbours are features, in this order.
    """

    species: tuple[str, ...]
    oxidation_states: Mapping[str, float] | None = None
    anions: tuple[str, ...] = ()


class MostLikely(NamedTuple):
    """Most likely coordination of atoms."""

    cn: np.ndarray
    """Coordination number of the largest weight, the smallest of equal ones; 0 for an isolated atom; shape (atoms,)."""
    likelihood: np.ndarray
    """Its weight, shape (atoms,)."""
    anion_counts: np.ndarray
    """Neighbours of each anion, shape (atoms, anions)."""
    motif: np.ndarray
    """Index into `MOTIF_NAMES` of that CN's largest feature; -1 where it has no motif; shape (atoms,)."""
    value: np.ndarray
    """That feature: weight times order parameter; NaN where there is no motif; shape (atoms,)."""


def feature_names(settings: MotifSettings) -> tuple[str, ...]:
    """Names of the features in order: 61, and 24 for each anion."""
    fractions = (f"{anion} fraction coord num {number}" for number in NUMBERS for anion in settings.anions)
    return (*OPS_NAMES, *fractions)


def fingerprints(atoms: Atoms, settings: MotifSettings) -> dict[str, np.ndarray]:
    """Fingerprints of all atoms of the wanted species: for each an array (atoms of it, features), as `feature_names`.

    Equal to matminer's CrystalNNFingerprint.from_preset("ops", cation_anion=...) where that has a value. An atom
    without neighbours has zeros, also where no ion of opposite charge exists and matminer raises an error. A species
    that the structure lacks has no rows. The structure is periodic along all axes; positions need not be wrapped.

    Raises:
        CryinGANError: the structure is not periodic or flat, a position is not finite, two atoms coincide, or an
            element has no oxidation state.

    Example:
        >>> from ase.build import bulk
        >>> settings = MotifSettings(("Li",), {"Li": 1, "Cl": -1}, anions=("Cl",))
        >>> lithium = fingerprints(bulk("LiCl", "rocksalt", a=5.13), settings)["Li"]
        >>> lithium.shape
        (1, 85)
        >>> MOTIF_NAMES[most_likely(lithium, settings).motif[0]]
        'octahedral CN_6'
    """
    symbols = np.array(atoms.get_chemical_symbols(), dtype=object)
    centres = np.flatnonzero(np.isin(symbols, settings.species))
    found = coordination(atoms, centres, settings.oxidation_states)
    features = np.zeros((len(centres), len(feature_names(settings))))
    _fill_motifs(features, found)
    _fill_fractions(_fractions(features, settings), found, symbols[found.neighbor][:, None] == list(settings.anions))
    return {species: features[symbols[centres] == species] for species in settings.species}


def _fractions(features: np.ndarray, settings: MotifSettings) -> np.ndarray:
    """View of the fractions of anions among the neighbours, shape (atoms, CN, anions)."""
    return features[:, len(OPS_NAMES) :].reshape(len(features), LARGEST_NUMBER, len(settings.anions))


def _fill_motifs(features: np.ndarray, found: Coordination) -> None:
    """Write weights, and weights times order parameters."""
    for number in np.unique(found.number[found.number <= LARGEST_NUMBER]).tolist():
        chosen = found.number == number
        centre, probability = found.centre[chosen], found.probability[chosen]
        column = WEIGHT_COLUMNS[number - 1]
        features[centre, column] = probability
        if number in MOTIFS:
            vectors = found.vector[found.start[centre][:, None] + np.arange(number)]
            values = probability[:, None] * order_parameters(vectors)
            features[centre, column + 1 : column + 1 + values.shape[1]] = values


def _fill_fractions(fractions: np.ndarray, found: Coordination, is_anion: np.ndarray) -> None:
    """Write what `_fractions` reads, by whether each neighbour is each anion, shape (rows, anions)."""
    chosen = found.number <= LARGEST_NUMBER
    centre, number = found.centre[chosen], found.number[chosen]
    before = np.insert(np.cumsum(is_anion, axis=0), 0, 0, axis=0)
    first = found.start[centre]
    fractions[centre, number - 1] = (before[first + number] - before[first]) / number[:, None]


def most_likely(features: np.ndarray, settings: MotifSettings, compatible: bool = False) -> MostLikely:
    """Most likely coordination number of atoms with fingerprints (atoms, features), and the motif they resemble most.

    `compatible` reports an isolated atom as Dismai-Bench does, as a single bond (CN 1) of likelihood 0.

    Raises:
        CryinGANError: the number of features is not that of the settings.
    """
    expected = len(feature_names(settings))
    if features.ndim != 2 or features.shape[1] != expected:
        raise CryinGANError(f"fingerprints of shape {features.shape}; their settings make (atoms, {expected})")
    weights = features[:, WEIGHT_COLUMNS]
    cn = weights.argmax(axis=1) + 1
    likelihood = weights.max(axis=1)
    if not compatible:
        cn[likelihood == 0] = 0
    atom = np.arange(len(features))
    counts = np.round(_fractions(features, settings)[atom, cn - 1] * cn[:, None]).astype(int)
    # Features of other coordination numbers must not win.
    own = np.array([int(name.rsplit("_", 1)[1]) for name in MOTIF_NAMES]) == cn[:, None]
    values = np.where(own, features[:, MOTIF_COLUMNS], -np.inf)
    has_motif = own.any(axis=1)
    motif = np.where(has_motif, values.argmax(axis=1), -1)
    value = np.where(has_motif, values.max(axis=1), np.nan)
    return MostLikely(cn, likelihood, counts, motif, value)
