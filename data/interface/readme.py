"""The README.md of an interface data set, and the facts in it as plain values."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.storage.atomic import replace_file
from data.interface.bulk import reduced_formula
from data.interface.placement import SLABS, slab_facts

if TYPE_CHECKING:
    from ase import Atoms

    from data.interface.dataset import RelaxedSet
    from data.interface.systems import Slab

RELAXED_CRYSTALS = "Both crystals were first relaxed with the potential, cell included, to 0.001 eV/Å."


def facts(relaxed: RelaxedSet, seed: int) -> dict[str, Any]:
    """How a set was made, in plain values: `made` of its card."""
    interface = relaxed.interface
    system, match, cell = interface.system, interface.match, interface.slabs.cell
    reasons = Counter(one.reason for one in relaxed.results)
    return {
        "substrate": _slab_facts(system.substrate, interface.crystals[0], match.substrate_matrix),
        "film": _slab_facts(system.film, interface.crystals[1], match.film_matrix),
        "mismatch": {"lengths": _floats(match.length_mismatches), "angle": _floats(match.angle_mismatch)},
        "determinants": list(match.determinants),
        "area": round(match.area, 4),
        "vacuum": system.vacuum,
        "cell": _floats(cell.cellpar()),
        "composition": dict(Counter(relaxed.interface.species)),
        "region": {
            "atoms": dict(Counter(interface.random)),
            "thickness": system.region.thickness,
            "minimum_distances": dict(system.region.minimum_distances),
        },
        "slabs": slab_facts(relaxed.interface),
        "seed": seed,
        "relaxation": dict(relaxed.how),
        **({} if relaxed.fixed is None else {"fixed_atoms": int(relaxed.fixed.all(axis=1).sum())}),
        "tried": len(relaxed.results),
        "ended": dict(reasons),
        **({"relaxed_first": _quicker(relaxed)} if relaxed.first else {}),
        **_contacts(relaxed),
        "kept_share": system.kept,
        "kept": int(relaxed.kept.sum()),
    }


def _contacts(relaxed: RelaxedSet) -> dict[str, Any]:
    """Converged structures whose anions are too close, and how many of them the cut-off alone would have kept."""
    found = np.array(list(map(bool, relaxed.contacts)))
    if all(one is None for one in relaxed.contacts):
        return {}
    low = found & (relaxed.energies <= relaxed.cutoff)
    return {"contacts": {"converged": int((found & np.isfinite(relaxed.energies)).sum()), "refused": int(low.sum())}}


def _quicker(relaxed: RelaxedSet) -> list[dict[str, Any]]:
    return [{"potential": name, "hash": sha, "structures": n} for (name, sha), n in relaxed.first.items()]


def _slab_facts(slab: Slab, crystal: Atoms, matrix: np.ndarray) -> dict[str, Any]:
    return {
        "crystal": reduced_formula(crystal),
        "lattice": _floats(crystal.cell.cellpar()),
        "source": slab.crystal.source or slab.crystal.file,
        "miller": list(slab.miller),
        "layers": slab.layers,
        "matrix": matrix.tolist(),
    }


def _floats(values: Any) -> Any:
    return np.round(np.asarray(values, dtype=float), 4).tolist()


def write_readme(relaxed: RelaxedSet, made: dict[str, Any], stem: str, command: str, path: Path) -> None:
    """Write the README.md of a set.

    Args:
        relaxed: the set.
        made: its `facts`.
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
        *_refused(made),
        *(
            filled(
                f"{n} structures relaxed with {name} (SHA-256 {sha}) first, then with {relaxed.potential['name']} to "
                "the same force; their energies as placed are not known."
            )
            for (name, sha), n in relaxed.first.items()
        ),
        "![Energies of all structures, relaxed and as placed](distribution.png)",
        "![Kept structures, from the lowest energy to the cut-off](structures.png)",
    ]


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


def table(*rows: list[Any]) -> str:
    """A Markdown table; the first row is its head."""
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def filled(text: str) -> str:
    """Text in lines of at most 118 characters."""
    return textwrap.fill(" ".join(text.split()), width=118, break_long_words=False, break_on_hyphens=False)


def _formula(counts: dict[str, int]) -> str:
    return " ".join(f"{symbol}{count}" for symbol, count in counts.items())


def _cell(parameters: list[float]) -> str:
    a, b, c, alpha, beta, gamma = parameters
    return f"{a:.3f} x {b:.3f} x {c:.3f} Å, angles {alpha:.2f}, {beta:.2f} and {gamma:.2f}°"
