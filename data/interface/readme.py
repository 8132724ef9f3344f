"""The README.md of an interface data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.energies.fractions import quantile_thresholds
from cryingan.storage.atomic import replace_file
from data.interface.placement import SLABS
from data.interface.screening import SCREENED
from data.markdown import filled, table

if TYPE_CHECKING:
    from data.interface.dataset import RelaxedSet

RELAXED_CRYSTALS = "Both crystals were first relaxed with the potential, cell included, to 0.001 eV/Å."


def write_readme(relaxed: RelaxedSet, made: dict[str, Any], stem: str, command: str, path: Path) -> None:
    """Write the README.md of a set.

    Args:
        relaxed: the set.
        made: its facts, `data.interface.facts.facts`.
        stem: name of the data file without its endings.
        command: command that builds the set.
        path: path of the README.md.
    """
    parts = [
        f"# {relaxed.interface.system.name}",
        filled(
            f"{made['kept']} structures of {relaxed.n_atoms} atoms ({_formula(made['composition'])}) for training, all "
            f"in one cell, relaxed with {relaxed.potential['name']} at fixed cell until no force is above "
            f"{relaxed.how['fmax']:g} eV/Å ({relaxed.how['optimizer'].upper()}, at most {relaxed.how['max_steps']} "
            f"steps). Built by"
        ),
        f"    {command}",
        table(
            ["file", "what it holds"],
            [f"`{stem}.extxyz.gz`", "the structures that are kept, with `number` and `energy_per_atom` (eV/atom)"],
            [f"`{stem}.card.yaml`", "cut-off and potential, and everything on this page, for machines"],
            [
                "`energies.csv`",
                f"all {made['tried']} structures: energies, steps, how each ended, contacts, if it is kept",
            ],
            [f"`{SLABS}`", "the two slabs between which atoms are placed at random"],
        ),
        *_interface(relaxed, made),
        *_energies(relaxed, made),
    ]
    with replace_file(path) as file:
        file.write(("\n\n".join(parts) + "\n").encode())


def _interface(relaxed: RelaxedSet, made: dict[str, Any]) -> list[str]:
    system, mismatch, region = relaxed.interface.system, made["mismatch"], made["region"]
    sides = [made["substrate"], made["film"]]
    least = ", ".join(f"{pair} {distance:g}" for pair, distance in region["minimum_distances"].items())
    return [
        "## The interface",
        table(
            ["", "substrate", "film"],
            ["crystal", *(f"{side['crystal']} ({''.join(map(str, side['miller']))})" for side in sides)],
            ["a, b, c (Å)", *(", ".join(f"{x:.3f}" for x in side["lattice"][:3]) for side in sides)],
            ["alpha, beta, gamma (°)", *(", ".join(f"{x:.2f}" for x in side["lattice"][3:]) for side in sides)],
            ["before relaxing", *(side["source"] for side in sides)],
            ["atomic layers", *(side["layers"] for side in sides)],
            ["superlattice matrix", *(side["matrix"] for side in sides)],
            ["its determinant", *relaxed.interface.match.determinants],
        ),
        filled(
            f"Mismatch of the lattice vectors {mismatch['lengths'][0]:.2%} and {mismatch['lengths'][1]:.2%} (mean "
            f"{relaxed.interface.match.mismatch:.2%}), of their angle {mismatch['angle']:.2%}; the film is strained to "
            f"the substrate. {RELAXED_CRYSTALS if system.relax_crystals else ''}"
        ),
        f"Cell: {_cell(made['cell'])}; area {made['area']:.2f} Å². Vacuum: {system.vacuum:g} Å, half at each end.",
        filled(
            f"Disordered region: {_formula(region['atoms'])} placed at random between the slabs, whose facing layers "
            f"are {region['thickness']:g} Å apart at first, none of them nearer to another atom than (Å) {least}. "
            f"Structure number k is a function of the seed, {made['seed']}, and of k. Then {_who_relaxes(made)}."
        ),
    ]


def _who_relaxes(made: dict[str, Any]) -> str:
    if "fixed_atoms" not in made:
        return "all atoms relax"
    return f"all atoms relax but {made['fixed_atoms']}, which are fixed (relax.fixed={made['relaxation']['fixed']})"


def _energies(relaxed: RelaxedSet, made: dict[str, Any]) -> list[str]:
    finite = relaxed.energies[np.isfinite(relaxed.energies)]
    rows = []
    for name, energies in (("relaxed", finite), ("kept", relaxed.energies[relaxed.kept])):
        scaled = (energies - relaxed.cutoff) * relaxed.factor
        both = [f"{x.mean():.{digits}f} ({x.std():.{digits}f})" for x, digits in ((energies, 4), (scaled, 3))]
        rows.append([name, len(energies), *both])
    return [
        "## Energies",
        table(["", "structures", "eV/atom, mean (standard deviation)", "J/m², mean (standard deviation)"], *rows),
        filled(
            f"Of {made['tried']} structures {', '.join(f'{n} {reason}' for reason, n in made['ended'].items())}. "
            f"Cut-off: {relaxed.cutoff:.6f} eV/atom, the highest energy among the lowest "
            f"{relaxed.interface.system.kept:.0%}. Energies in J/m² are (E - cut-off) x {relaxed.factor:.4f}, with one "
            f"area of the interface. They belong to this potential and no other: {relaxed.potential['name']}, SHA-256 "
            f"{relaxed.potential['hash']}."
        ),
        *_quantiles(relaxed),
        *_refused(made),
        *_relaxed_first(relaxed, made),
        "![Energies of all structures, relaxed and as placed](distribution.png)",
        "![Kept structures, from the lowest energy to the cut-off](structures.png)",
    ]


def _quantiles(relaxed: RelaxedSet) -> list[str]:
    found = {
        percent: (energy - relaxed.cutoff) * relaxed.factor
        for percent, energy in quantile_thresholds(relaxed.energies).items()
    }
    shares = ", ".join(f"{percent} % at or below {energy:.3f}" for percent, energy in found.items())
    return [f"Energies of the random structures (J/m²): {shares}."] if found else []


def _relaxed_first(relaxed: RelaxedSet, made: dict[str, Any]) -> list[str]:
    lines = [
        filled(
            f"{one['structures']} structures relaxed with {one['potential']} (SHA-256 {one['hash']}) first, then with "
            f"{relaxed.potential['name']} to the same force; their energies as placed are not known."
        )
        for one in made.get("relaxed_first", [])
    ]
    if relaxed.screen is not None:
        lines += [
            filled(
                f"Of these, {made['ended'].get(SCREENED, 0)} did not go on, as their energy was above "
                f"{relaxed.screen:.6f} eV/atom: they count as above the cut-off. By the same potential no kept "
                f"structure is above {made['highest_kept_first']:.6f} eV/atom."
            )
        ]
    return lines


def _refused(made: dict[str, Any]) -> list[str]:
    if "contacts" not in made:
        return ["Contacts of anions were not checked: no charge of an anion is certain in this composition."]
    converged, refused = made["contacts"]["converged"], made["contacts"]["refused"]
    return [
        filled(
            f"Converged structures with anions that are too close (`contacts` in `energies.csv`; docs/relaxation.md "
            f"has the rule): {converged}. Of these {refused} would be below the cut-off, and are not kept."
        )
    ]


def _formula(counts: dict[str, int]) -> str:
    return " ".join(f"{symbol}{count}" for symbol, count in counts.items())


def _cell(parameters: list[float]) -> str:
    a, b, c, alpha, beta, gamma = parameters
    return f"{a:.3f} x {b:.3f} x {c:.3f} Å, angles {alpha:.2f}, {beta:.2f} and {gamma:.2f}°"
