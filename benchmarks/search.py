"""CPU time per structure of low energy, by ways to search: `python -m benchmarks.search random basin_hopping A=RUN`.

`random` relaxes random structures of the set, `basin_hopping` begins at the same ones (ASE's `BasinHopping`), and
NAME=RUN, or NAME=RUN,RUN for a run of each seed, relaxes samples of a model. All use the potential of the data card,
one structure after the other in this process, until so many `--evaluations` of energy and forces are spent in each
seed. Seconds are those of the process: drawing, relaxing and hopping, but not training. A structure counts if it
converged, without two anions that are too close.

A walk of basin hopping moves the atoms that were placed at random by up to `--step` Angstrom in each direction,
relaxes all atoms as the others do, and accepts by Metropolis at `--temperature`; where the result does not count, it
moves again. After `--hops` relaxations the next walk begins at the next random structure.

Results are kept in `--output`, walk by walk; a killed run resumes. Markdown on stdout, with 95 % intervals of a
bootstrap over walks, and the values of each seed in search.csv.

    python -m benchmarks.search random basin_hopping linear=RUN --data FILE --evaluations 4000 --seeds 3
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from ase import units

from benchmarks import command
from benchmarks.models import DATA, named_folders
from benchmarks.tables import write_table
from benchmarks.walks import DRAWN, RegionHopping, Walk, hopping_walk, sampled_walk
from cryingan.energies.data_card import default_potential, read_data_card
from cryingan.energies.scale import interface_area, interface_factor
from cryingan.errors import CryinGANError
from cryingan.metrics.minima import minima_of
from cryingan.metrics.region_reference import RegionReference
from cryingan.potentials.potential import load_potential
from cryingan.storage.atomic import make_folder, replace_file, write_json
from cryingan.structures.crystals import Crystals
from cryingan.training.checkpoints import load_model
from data.module import StructureData

RANDOM, HOPPING = "random", "basin_hopping"
REPETITIONS = 2000


def placed_atoms(data: StructureData) -> np.ndarray:
    """Which atoms of a random structure of the set are placed at random, shape (atoms,)."""
    slabs = read_data_card(data.path).made.get("slabs")
    if slabs is None:
        raise CryinGANError(f"{data.path}: its card has no made.slabs, so it is not known which atoms are random")
    [crystal] = data.random.draw(1, 0).fractional
    heights = crystal[:, 2] * data.crystals.cell[2, 2]
    low, high = slabs["heights"]
    return (heights > low + 1e-6) & (heights < high - 1e-6)


def walker(name: str, runs: list[Path], seed: int, arguments: Namespace) -> Callable[[int], Walk]:
    """What makes the walks of one search and seed, by their numbers."""
    data, potential = arguments.set, arguments.potential

    def drawn(chunk: int) -> Crystals:
        number = 1000 * seed + chunk
        return model.sample(DRAWN, number) if runs else data.random.draw(DRAWN, number)

    model = load_model(runs[(seed - 1) % len(runs)]) if runs else None
    draw = lru_cache(1)(drawn)
    if name != HOPPING:
        return lambda number: sampled_walk(draw, potential, number)
    moved, settings = placed_atoms(data), {"dr": arguments.step, "temperature": arguments.temperature * units.kB}

    def hop(crystal: Crystals, number: int) -> RegionHopping:
        return RegionHopping(crystal, moved, potential, arguments.hops, [seed, number], **settings)

    return lambda number: hopping_walk(hop, draw, number)


def walks(name: str, runs: list[Path], seed: int, arguments: Namespace) -> Iterator[Walk]:
    """The walks of one search and seed, those of earlier calls first, until the evaluations are spent."""
    spent, number, walk_of = 0, 0, None
    while spent < arguments.evaluations:
        path = arguments.output / f"{name}_{seed}_{number:05d}.npz"
        if not path.exists():
            walk_of = walk_of or walker(name, runs, seed, arguments)
            with replace_file(path) as file:
                np.savez(file, **vars(walk_of(number)))
        with np.load(path) as kept:
            walk = Walk(**kept)
        spent, number = spent + max(1, int(walk.evaluations.sum())), number + 1
        yield walk


def claim(arguments: Namespace) -> None:
    """Refuse a folder of searches that are others; CryinGANError."""
    path = make_folder(arguments.output) / "search.json"
    hopping = {"hops": arguments.hops, "step": arguments.step, "temperature": arguments.temperature}
    found = {"data": arguments.set.sha256, "potential": arguments.potential.card.hash, HOPPING: hopping}
    found |= {name: list(map(str, runs)) for name, runs in arguments.searches if runs}
    earlier = json.loads(path.read_bytes()) if path.exists() else {}
    for key in earlier.keys() & found.keys():
        if earlier[key] != found[key]:
            raise CryinGANError(f"{path}: {key} was {earlier[key]}, here it is {found[key]}: give another output")
    write_json(path, earlier | found)


def per_structure(seconds: np.ndarray, counts: np.ndarray) -> str:
    """Seconds per structure that counts, with the 95 % interval of a bootstrap over walks; both (walks,)."""
    drawn = np.random.default_rng(0).integers(len(counts), size=(REPETITIONS, len(counts)))
    with np.errstate(divide="ignore"):
        low, high = np.percentile(seconds[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5], method="nearest")
        value = seconds.sum() / counts.sum()
    return f"{value:.3g} ({low:.3g} to {high:.3g})" if counts.any() else "none"


def distinct(found: list[Walk], low: list[np.ndarray], arguments: Namespace) -> int:
    """Different minima among the chosen structures of walks."""
    fractional = np.concatenate([walk.fractional[chosen] for walk, chosen in zip(found, low, strict=True)])
    if not len(fractional):
        return 0
    energies = np.concatenate([walk.energies[chosen] for walk, chosen in zip(found, low, strict=True)])
    crystals = Crystals(fractional, arguments.set.crystals.cell, arguments.species)
    if arguments.reference is not None:
        crystals = arguments.reference.mean.region(crystals)
    return minima_of(crystals, energies * arguments.factor).distinct


def row(found: list[Walk], arguments: Namespace) -> dict[str, object]:
    """One row of the table, of walks."""
    seconds = np.array([walk.seconds.sum() for walk in found])
    evaluations = sum(int(walk.evaluations.sum()) for walk in found)
    values: dict[str, object] = {
        "relaxed": sum(len(walk.energies) for walk in found),
        "evaluations": evaluations,
        "CPU s": round(seconds.sum(), 1),
        "lowest (J/m2)": round(
            min(np.nanmin([np.inf, *walk.energies]) - arguments.cutoff for walk in found) * arguments.factor, 3
        ),
    }
    for threshold in arguments.thresholds:
        low = [(walk.energies - arguments.cutoff) * arguments.factor <= threshold for walk in found]
        counts = np.array([one.sum() for one in low])
        values[f"at or below {threshold:g}"] = int(counts.sum())
        values[f"distinct, {threshold:g}"] = distinct(found, low, arguments)
        values[f"CPU s each, {threshold:g}"] = per_structure(seconds, counts)
    return values


def named_search(text: str) -> tuple[str, list[Path]]:
    """`random`, `basin_hopping`, or a name and the runs of its seeds."""
    return (text, []) if text in (RANDOM, HOPPING) else named_folders(text)


def main() -> None:
    """Search, and print the table."""
    parser = command.new_parser(__doc__)
    parser.add_argument(
        "searches", nargs="+", type=named_search, metavar="SEARCH", help="random, basin_hopping, NAME=RUN"
    )
    parser.add_argument("--data", default=DATA, help="structures of the set; its card names the potential")
    parser.add_argument("--evaluations", type=command.positive, default=4000, help="of each search and seed")
    parser.add_argument("--seeds", type=command.positive, default=3, help="1 to so many")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.0, -0.2, -0.5], help="energies, J/m2")
    parser.add_argument("--hops", type=command.positive, default=10, help="relaxations of a walk of basin hopping")
    parser.add_argument("--step", type=float, default=1.0, help="its largest move, Angstrom")
    parser.add_argument("--temperature", type=float, default=1000.0, help="its temperature, K")
    parser.add_argument("--output", type=Path, default=Path("search"), help="folder of results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settle(arguments)
    lines, table = [], []
    for name, runs in arguments.searches:
        seeds = [list(walks(name, runs, seed, arguments)) for seed in range(1, arguments.seeds + 1)]
        lines += [{"search": name, "seed": seed, **row(found, arguments)} for seed, found in enumerate(seeds, 1)]
        table.append({"search": name, **row([walk for found in seeds for walk in found], arguments)})
        write_table(arguments.output / "search.csv", lines)
    print(f"| {' | '.join(table[0])} |", "|---" * len(table[0]) + "|", sep="\n")
    for values in table:
        print(f"| {' | '.join(map(str, values.values()))} |")


def settle(arguments: Namespace) -> None:
    """Read the set and its potential, and claim the folder of results."""
    given = default_potential(arguments.data)
    if given is None:
        raise CryinGANError(f"{arguments.data}: its card names no default_potential")
    arguments.set, arguments.potential = StructureData(arguments.data), load_potential(**given)
    crystals, card = arguments.set.crystals, read_data_card(arguments.data)
    arguments.species = crystals.species
    arguments.reference = RegionReference.of(arguments.set.training)
    cutoff = card.cutoff(arguments.potential.card)
    if cutoff is None:
        raise CryinGANError(f"{arguments.data}: its card has no cut-off for {arguments.potential.card.name}")
    arguments.cutoff = cutoff.energy_per_atom
    arguments.factor = interface_factor(len(crystals.species), interface_area(crystals.cell, card.area_axis))
    claim(arguments)


if __name__ == "__main__":
    with command.told_in_one_line():
        main()
