"""The README.md of a set of amorphous silicon."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from cryingan.storage.atomic import replace_file
from data.markdown import filled, table
from data.silicon.checks import BOND
from data.silicon.dataset import ENERGIES
from data.silicon.paper import LITERATURE, PAPER, PAPER_MOTIFS
from data.silicon.properties import FEW
from data.silicon.settings import NAME, SiliconBuildSettings

MADE = "<!-- made by data.silicon.build up to here; what follows is kept -->"


def write_readme(values: dict[str, Any], settings: SiliconBuildSettings, path: Path) -> None:
    """Write the README.md of a set; what stands below its last line of an earlier one stays, and one of another origin.

    Args:
        values: `data.silicon.card.facts` of the set.
        settings: of the build.
        path: of the README.md.
    """
    parts = [
        "# Amorphous silicon",
        filled(
            f"{values['structures']} structures of {values['atoms']} atoms in one cube of {values['side']} Å "
            f"({values['density']} g/cm³), {_origin(values)}{_role(settings)} Built by"
        ),
        f"    {_command(settings)}",
        table(
            ["file", "what it holds"],
            [f"`{NAME}.extxyz.gz`", "the structures, with `number` and `energy_per_atom` (eV/atom)"],
            [f"`{NAME}.card.yaml`", "energy zero, potential, and everything on this page, for machines"],
            [f"`{ENERGIES}`", "all structures that were made: energies, steps, coordination, why they were refused"],
        ),
        *_how(values),
        *_likeness(values),
        MADE,
    ]
    with replace_file(path) as file:
        file.write(("\n\n".join(parts) + _own_text(path)).encode())


def _own_text(path: Path) -> str:
    """What a page says that is not the builder's, all of it where no builder wrote it."""
    _, made, own = path.read_text().rpartition(MADE) if path.exists() else ("", "", "")
    return own if made else f"\n\n{own}".rstrip() + "\n"


def _command(settings: SiliconBuildSettings) -> str:
    defaults = SiliconBuildSettings()
    keys = ("atoms", "density", "rate", "slice", "seed")
    given = {key: value for key in keys if (value := getattr(settings, key)) != getattr(defaults, key)}
    words = [f"{key}={value}" for key, value in given.items()]
    other = {key: value for key, value in settings.relax.items() if defaults.relax.get(key) != value}
    words += [f"relax.{key}={value}" for key, value in other.items()]
    if settings.potential != defaults.potential:
        files = {"path": Path(settings.potential.get("path") or "").name}
        words += [f"potential.{key}={value}" for key, value in (settings.potential | files).items() if value != ""]
    if settings.folder != defaults.folder:
        words.append(f"folder={settings.output.name}")
    return shlex.join(["python", "-m", "data.silicon.build", f"n={settings.n}", *words])


def _role(settings: SiliconBuildSettings) -> str:
    usual = SiliconBuildSettings()
    alike = all(getattr(settings, key) == getattr(usual, key) for key in ("atoms", "density", "rate", "slice"))
    told = ": the third system of Dismai-Bench. The paper's own set is a download that was not available."
    return told if alike else "."


def _origin(values: dict[str, Any]) -> str:
    if "slices_of" in values:
        return f"pieces of {values['slices_of']['file']}, which share atoms, so those held out are not independent"
    return "each made independently of the others"


def _how(values: dict[str, Any]) -> list[str]:
    if "slices_of" in values:
        origin = (
            f"Each structure is a cube cut from {values['slices_of']['file']} where it holds {values['atoms']} atoms, "
            "minimised, annealed for 4 ps at 1500 K, cooled to 800 K in 2 ps and minimised"
        )
    else:
        origin = (
            "Each structure starts from random positions, is melted for 1 ps at 4500 K, cooled to 2600 K in 1 ps and "
            f"from there to 1000 K at {values['quench_rate']:.3g} K/s (Langevin, steps of 3 fs), and minimised"
        )
    how, refused, beyond = values["relaxation"], values["refused"], values["beyond_after_relaxation"]
    return [
        "## How it was made",
        filled(
            f"{origin}, all with the Stillinger-Weber potential of Vink et al., J. Non-Cryst. Solids 282, 248 (2001), "
            f"by LAMMPS {values['lammps']}. Its liquid stays tetrahedral: wrong for a liquid, and good for networks. "
            f"Structure k is a function of the seed, {values['seed']}, and of k; another processor or "
            "another LAMMPS gives other structures of the same statistics."
        ),
        filled(
            f"Then all atoms relax at fixed cell with {values['potential']['name']} "
            f"({how['optimizer'].upper()}, {how['fmax']:g} eV/Å, {values['relaxation_steps']:.0f} steps in the mean), "
            "the potential that relaxes samples, so that both have one zero of energies: the mean of the set, "
            f"{values['energy_per_atom']:.6f} eV/atom."
        ),
        filled(
            f"Of {values['tried']} structures {_counted(sum(refused.values()))} refused{_because(refused)}. Networks "
            "are checked before this relaxation; a potential that opens or closes bonds changes coordination "
            "afterwards. Relaxed structures beyond the same limits stay: "
            f"{sum(beyond.values()) or 'there are none'}{_because(beyond)}."
        ),
    ]


def _counted(number: int) -> str:
    return "1 was" if number == 1 else f"{number} were"


def _because(reasons: dict[str, int]) -> str:
    return ": " + ", ".join(f"{count} because {reason}" for reason, count in reasons.items()) if reasons else ""


def _likeness(values: dict[str, Any]) -> list[str]:
    shares, curves = values["coordination"]["shares"], values["curves"]
    above, nothing = values["above_diamond"], ""
    coordination = " / ".join(f"{shares.get(number, 0.0):.1f}" for number in (3, 4, 5))
    rings = " / ".join(f"{values['rings_per_atom'][size]:.2f}" for size in (4, 5, 6, 7, 8))
    beside = lambda key: (PAPER.get(key, nothing), LITERATURE.get(key, nothing))  # noqa: E731
    rows = [
        ["density, g/cm³", values["density"], *beside("density")],
        [f"atoms with 3 / 4 / 5 neighbours within {BOND} Å, %", coordination, nothing, LITERATURE["four_fold"]],
        ["... four, standard deviation between structures", values["coordination"]["four_fold_deviation"], "", ""],
        ["bond length, Å", f"{values['bond']:.3f}", *beside("bond")],
        ["... its standard deviation", f"{values['bond_deviation']:.3f}", *beside("bond_deviation")],
        ["bond angle, mean (standard deviation), degrees", _both(values), nothing, LITERATURE["angle_deviation"]],
        ["most frequent angle, degrees", f"{curves['angle_peak_at']:g}", *beside("angle_peak_at")],
        ["... its share, % in half a degree", f"{curves['angle_peak']:.2f}", *beside("angle_peak")],
    ]
    rows.append(["shortest-path rings of 4 / 5 / 6 / 7 / 8 atoms, per atom", rings, nothing, LITERATURE["rings"]])
    for name in ("first", "second"):
        rows.append([f"{name} peak of g(r), at Å", f"{curves[f'{name}_peak_at']:.2f}", *beside(f"{name}_peak_at")])
        rows.append(["... its height", f"{curves[f'{name}_peak']:.2f}", *beside(f"{name}_peak")])
    rows.append(["minimum of g(r) between them", f"{curves['minimum']:.3f}", *beside("minimum")])
    rows.append(["energy above diamond, meV/atom", f"{above['mean']} ({above['deviation']})", *beside("above_diamond")])
    motifs = [[name, f"{values['motifs'].get(name, 0):.1f}", share] for name, share in PAPER_MOTIFS.items()]
    floors = dict.fromkeys(_floor(values[name]) for name in ("noise_floor", "noise_floor_of_few"))
    alone = "" if values["noise_floor"]["structures"] >= FEW else " (so few that another draw may differ by half)"
    return [
        "## What it is like",
        table(["", "this set", "the paper's training set", "literature"], *rows),
        "Most likely motif of an atom, percent:",
        table(["motif", "this set", "the paper's training set"], *motifs),
        f"![g(r), bond angles, motifs and energies of the set]({NAME}.png)",
        filled(
            f"Noise floor, structures of the set against others of it{alone}: {'; '.join(floors)}. A "
            "generator with as many samples cannot be told from the set below these."
        ),
    ]


def _floor(floor: dict[str, Any]) -> str:
    scores = ", ".join(f"{name} {floor[name]:.2g}" for name in ("d_motif", "d_rdf", "d_angle"))
    return f"{floor['structures']} against as many, {scores}"


def _both(values: dict[str, Any]) -> str:
    return f"{values['angle']:.1f} ({values['angle_deviation']:.1f})"
