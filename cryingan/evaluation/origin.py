"""Origin of structures: how many were generated, and their energies, from the files of `sample.py` beside them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryingan.errors import CryinGANError
from cryingan.samples.folder import ENERGIES, RELAXED, SAMPLE_MANIFEST, read_summary
from cryingan.samples.set_comparison import comparison_keys
from cryingan.storage.fraction_keys import DISTINCT, FRACTION

NUMBERS = ("energy_per_atom_initial", "energy_per_atom", "energy", "steps")


@dataclass(frozen=True, eq=False)
class Origin:
    """Where structures come from.

    Attributes:
        generated: number of generated structures; None where it is unknown.
        in_order: whether the first structure is sample 0, the second sample 1, and so on.
        lost: reasons of samples that are not in the file, by sample number.
        energies: rows of energies.csv by sample number: `energy_per_atom_initial` and `energy_per_atom` in eV/atom,
            `energy` in `unit`, and `steps`; NaN where a value is missing.
        unit: unit of `energy`.
        zero: zero of `energy` in eV/atom, from relaxed.json: 0 where the training structures are unknown; None where
            it is not recorded.
        fractions: shares of all samples, from relaxed.json, such as `relax/fraction_below_0` with its `_low` and
            `_high`, and what `cryingan.samples.set_comparison.SetComparison` has.
        training: the same of training structures, likewise.
        refused: candidates that the model itself refused, for atoms of another element; those of them that it kept
            all the same, where there is no better one, are generated structures as well.
        drawn: number of all candidates, where the model refuses any.
    """

    generated: int | None = None
    in_order: bool = False
    lost: Mapping[int, str] = field(default_factory=dict)
    energies: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    unit: str = ""
    zero: float | None = None
    fractions: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, float] = field(default_factory=dict)
    refused: int = 0
    drawn: int | None = None


def origin_of(path: Path, samples: set[int]) -> Origin:
    """Return the origin of a file with these sample numbers, from what `sample.py` wrote beside it.

    That of relaxed.extxyz is in energies.csv, that of samples in their manifest.json.

    Raises:
        CryinGANError: energies.csv, relaxed.json or manifest.json is broken.
    """
    energies, manifest, found = path.with_name(ENERGIES), path.with_name(SAMPLE_MANIFEST), Origin()
    reading = manifest
    try:
        content = json.loads(manifest.read_bytes()) if manifest.exists() else None
        if path.name == RELAXED and energies.exists():
            reading = energies
            found = _from_energies(energies, samples)
        elif content is not None and path.name in (content["structures"], RELAXED):
            found = Origin(int(content["n"]), in_order=path.name != RELAXED)
        if content is None or found.generated is None or not (rejected := content.get("rejected")):
            return found
        reading = manifest
        refused, kept = (int(rejected[name]) for name in ("candidates", "kept"))
        return replace(found, refused=refused, drawn=int(content["n"]) + refused - kept)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CryinGANError(f"{reading} cannot be read: {error}") from error


def _from_energies(path: Path, samples: set[int]) -> Origin:
    with path.open(newline="") as file:
        rows = {int(row["sample"]): row for row in csv.DictReader(file)}
    lost = {sample: row["reason"].replace("_", " ") for sample, row in rows.items() if sample not in samples}
    values = {sample: {name: float(row[name] or "nan") for name in NUMBERS} for sample, row in rows.items()}
    unit = next((row["unit"] for row in rows.values() if row["unit"]), "")
    summary = read_summary(path.parent) or {"values": {}}
    compared, shares = comparison_keys(()), (FRACTION, DISTINCT)
    fractions = {
        name: value for name, value in summary["values"].items() if name in compared or name.startswith(shares)
    }
    zero, training = summary.get("zero_ev_per_atom"), summary.get("training", {})
    return Origin(len(rows), False, lost, values, unit, zero, fractions, training)
