"""Relaxed samples of several models in one table: `python -m benchmarks.models NAME=FOLDER,FOLDER ...`.

Each folder is one that `sample.py relax=true` wrote. Those of one name, separated by commas, are of several seeds:
their mean is printed with the least and the largest value. All have the same number of samples, at least six:
precision, recall and coverage depend on it. Raw samples are compared with the training structures of
`--data` in the disordered region; values of relaxed samples are those of relaxed.json. The last row is the training set
itself, for as many structures. `--judge` is the folder of another potential, best that from which the potential of the
relaxations learned: its energies of the first 24 relaxed samples of each folder are compared with those in
relaxed.extxyz. Markdown on stdout, all values of all folders in `--output`.

    python -m benchmarks.models NAME=FOLDER[,FOLDER ...] [NAME=... ...] [--data FILE] [--judge FOLDER] [--output FILE]
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping
from pathlib import Path

import ase.io
import numpy as np
import torch

from benchmarks import command
from benchmarks.tables import write_table
from cryingan.errors import CryinGANError
from cryingan.metrics.close_pairs import close_pairs
from cryingan.metrics.region_reference import RegionReference
from cryingan.potentials.potential import Potential, load_potential
from cryingan.samples.folder import RELAXED as RELAXED_SAMPLES
from cryingan.samples.folder import SAMPLES, read_summary
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures
from data.module import StructureData

DATA = "data/interface/li2o_licl/li2o_licl.extxyz.gz"
RAW = {
    "close_pairs": "close pairs",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "nearest_training": "nearest training structure (A)",
}
RELAXED = {
    "failed": "failed",
    "unconverged": "unconverged",
    "fraction_below_0": "at or below 0",
    "fraction_below_minus_0_2": "at or below -0.2",
    "fraction_below_random_50": "below 50 % of random",
    "fraction_below_random_10": "below 10 % of random",
    "fraction_below_random_1": "below 1 % of random",
    "energy": "energy (J/m2)",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "nearest_training": "nearest training structure (A)",
    "distinct_minima": "distinct minima",
    "kolmogorov_smirnov": "KS distance of energies",
    "steps": "steps",
    "energy_drop": "energy drop (eV/atom)",
}
JUDGED = 24  # samples of a folder
JUDGE = {
    "energy": "energy by the judge, less by the potential (J/m2)",
    "deviation": "standard deviation (J/m2)",
    "force": "root mean square of the judge's forces (eV/A)",
}


def values_of(folder: Path, reference: RegionReference) -> tuple[int, dict[str, float], dict[str, float]]:
    """The number of one folder's samples, their values, and those of the training set for as many."""
    summary = read_summary(folder)
    if summary is None:
        raise CryinGANError(f"{folder}: no samples that were relaxed")
    samples = read_structures(folder / SAMPLES, closest=0.0)
    try:
        raw = reference.compare(samples)
    except CryinGANError as error:
        raise CryinGANError(f"{folder}: {error}; the others are those of --data") from error
    raw["close_pairs"] = mean_close_pairs(samples)
    own = reference.of_training(len(samples))
    return (
        len(samples),
        {**_named("raw", raw, RAW), **_named("relax", _unprefixed(summary["values"]), RELAXED)},
        {**_named("raw", own, RAW), **_named("relax", _unprefixed(summary.get("training", {})), RELAXED)},
    )


def judged(folder: Path, judge: Potential) -> dict[str, float]:
    """What another potential says of the first relaxed samples of a folder, by the keys of `JUDGE`."""
    frames = ase.io.read(folder / RELAXED_SAMPLES, f":{JUDGED}")
    factor = read_summary(folder)["factor"] / len(frames[0])
    energies, forces = judge.evaluate(frames)
    apart = factor * (energies - [frame.get_potential_energy() for frame in frames])
    force = np.sqrt(np.mean(np.square(forces).sum(axis=-1)))
    return _named("judge", {"energy": apart.mean(), "deviation": apart.std(), "force": force}, JUDGE)


def mean_close_pairs(structures: Crystals) -> float:
    """Pairs within 1.5 Angstrom per structure."""
    pairs = close_pairs(torch.from_numpy(structures.fractional), torch.from_numpy(structures.cell))
    return pairs.double().mean().item()


def _named(stage: str, values: Mapping[str, float], keys: Iterable[str]) -> dict[str, float]:
    return {f"{stage}/{key}": values.get(key, np.nan) for key in keys}


def _unprefixed(values: Mapping[str, float]) -> dict[str, float]:
    return {key.removeprefix("relax/"): value for key, value in values.items()}


def spread(values: list[float]) -> str:
    """Mean of the seeds with the least and the largest value, to three digits."""
    if np.isnan(values).any():
        return ""
    mean, least, largest = (f"{value:.3g}" for value in (np.mean(values), min(values), max(values)))
    return mean if len(values) == 1 else f"{mean} ({least} to {largest})"


def table(title: str, rows: Mapping[str, list[dict[str, float]]], stage: str, keys: Mapping[str, str]) -> str:
    """One Markdown table of a stage, a row for each model and a column for each key by its title."""
    lines = [f"| {title} | {' | '.join(keys.values())} |", f"|{'---|' * (len(keys) + 1)}"]
    for name, seeds in rows.items():
        cells = [spread([seed[f"{stage}/{key}"] for seed in seeds]) for key in keys]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def named_folders(text: str) -> tuple[str, list[Path]]:
    """A name and the folders that are its."""
    name, sign, folders = text.partition("=")
    if not (name and sign and folders):
        raise ArgumentTypeError(f"{text}: write NAME=FOLDER or NAME=FOLDER,FOLDER")
    return name, [Path(folder) for folder in folders.split(",")]


def main() -> None:
    """Print the tables."""
    parser = command.new_parser(__doc__)
    parser.add_argument(
        "models", nargs="+", type=named_folders, metavar="NAME=FOLDER,FOLDER", help="a model and its relaxed samples"
    )
    parser.add_argument("--data", default=DATA, help="structures that the models were trained on")
    parser.add_argument("--judge", help="folder of another potential, whose energies are compared")
    parser.add_argument("--output", type=command.output, default="models.csv", help="table of all values")
    arguments = parser.parse_args()
    arguments.models = [(name, folder) for name, folders in arguments.models for folder in folders]
    training = StructureData(arguments.data).training
    reference = RegionReference.of(training)
    if reference is None:
        raise CryinGANError(f"{arguments.data}: the structures share no sites, so samples cannot be compared by place")
    judge = load_potential(arguments.judge) if arguments.judge else None
    rows, lines = {}, []
    for name, folder in arguments.models:
        samples, values, own = values_of(folder, reference)
        values |= judged(folder, judge) if judge else {}
        rows.setdefault(name, []).append(values)
        lines.append({"model": name, "folder": str(folder), "samples": samples, **values})
    if len(numbers := {line["samples"] for line in lines}) > 1:
        counts = " and ".join(map(str, sorted(numbers)))
        raise CryinGANError(f"folders of {counts} samples cannot be compared: give sample.py the same n")
    rows["training set"] = [{**own, "raw/close_pairs": mean_close_pairs(training)}]
    write_table(arguments.output, lines)
    print(table("raw", rows, "raw", RAW), table("relaxed", rows, "relax", RELAXED), sep="\n\n")
    if judge:
        del rows["training set"]
        print("", table(f"{JUDGED} relaxed", rows, "judge", JUDGE), sep="\n")


if __name__ == "__main__":
    with command.told_in_one_line():
        main()
