"""The README.md of a GAP of silicon."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cryingan.potentials.gap import read_gap
from cryingan.storage.atomic import replace_file
from data.markdown import filled, table

SIGMA = re.compile(r"([a-z]+):([\d.]+):([\d.]+):0:0")  # of a kind of structures, in the command line of gap_fit
COLUMNS = ("relaxed with", "CN 3 / 4 / 5 (%)", "bond (Å)", "angle sd (°)", "above diamond")


def write_readme(metrics: dict[str, Any], path: Path) -> None:
    """Write the README.md beside the XML file of a GAP.

    Args:
        metrics: as `data.silicon.train_gap` writes them to metrics.json.
        path: of the XML file.
    """
    reference, settings = metrics["reference"], metrics["settings"]
    changed = [f"{key}={settings[key]}" for key, usual in (("points", 300), ("seed", 0)) if settings[key] != usual]
    parts = [
        f"# {metrics['name']}",
        filled(
            f"A SOAP-GAP of silicon with {settings['points']} sparse points, fitted to {reference['name']} (SHA-256 "
            f"{reference['hash']}). **It is not the published GAP of silicon** (Bartók et al., Phys. Rev. X 8, 041048, "
            f"2018), which was fitted to DFT. Its energies belong to it alone: SHA-256 {read_gap(path).hash}; "
            "`card.json` holds reference energies that verify it when it is loaded. Made by"
        ),
        "    " + " ".join(["python -m data.silicon.train_gap reference.path=FOLDER", *changed]),
        f"Use: `potential=gap potential.path={path.name}`, with the folder of the file before its name.",
        filled(
            "It is for relaxing amorphous silicon and samples of generators near 2.3 g/cm³, on the scale of its "
            "teacher. It is not for surfaces, other phases, melting, elastic constants or claims about defects: it "
            f"follows its teacher only so far (below).{_four_fold(metrics)}"
        ),
        *_fit(path),
        "## Structures",
        filled(
            "64 atoms each, labelled by the teacher. Liquid, quench and minimum are frames of melts that are cooled "
            "from 3500 to 300 K at 2.20 to 2.45 g/cm³ in the Stillinger-Weber potential of Vink et al. Random are "
            "random atoms, at least 1.75 Å apart, and their first 2 to 60 steps towards rest in that potential. "
            "Diamond is displaced by 0.02 to 0.25 Å. A sixth of the trajectories is held out."
        ),
        table(["", "fitted", "held out"], *([kind, *counts] for kind, counts in metrics["frames"].items())),
        "## Errors on trajectories that it has not seen",
        table(
            ["", "energy MAE (meV/atom)", "RMSE", "force component MAE (meV/Å)", "RMSE", "mean size of a component"],
            *(_errors(kind, one) for kind, one in metrics["errors"].items()),
        ),
        "![Energies and forces of the held-out frames against their labels](parity.png)",
        *_comparison(metrics),
    ]
    with replace_file(path.with_name("README.md")) as file:
        file.write(("\n\n".join(parts) + "\n").encode())


def _four_fold(metrics: dict[str, Any]) -> str:
    shares = [one["coordination"]["4"] for one in metrics["comparison"]]
    if not shares:
        return ""
    before, teacher, own, *_ = shares
    return (
        f" Of the atoms in its own minima {own:.0f} % have four neighbours, of those in its teacher's "
        f"{teacher:.0f} % and of those in the networks that both start from {before:.0f} %."
    )


def _fit(path: Path) -> list[str]:
    """The hyper-parameters in the XML file."""
    root = ElementTree.parse(path).getroot()
    descriptors = ["    " + " ".join((one.text or "").split()) for one in root.iter("descriptor")]
    command = " ".join(root.itertext())
    isolated = re.search(r"\be0=(\S+)", command)
    rows = [[kind, f"{1000 * float(energy):g}", force] for kind, energy, force in SIGMA.findall(command)]
    return [
        "## Fit",
        filled(
            f"A sum of pairs and of the smooth overlap of atomic positions; energies count from {isolated[1]} eV an "
            "atom. The descriptors in the words of `gap_fit` (cutoff and atom_sigma in Å, delta in eV):"
        ),
        "\n".join(descriptors),
        "How closely labels are followed, as standard deviations that the fit expects:",
        table(["", "energy (meV/atom)", "force component (eV/Å)"], *rows),
    ]


def _errors(kind: str, one: dict[str, Any]) -> list[str]:
    energies = [f"{1000 * one[f'energy_{name}']:.1f}" for name in ("mae", "rmse")]
    forces = [f"{1000 * one[f'force_{name}']:.0f}" for name in ("mae", "rmse", "size")]
    return [kind, *energies, *forces]


def _comparison(metrics: dict[str, Any]) -> list[str]:
    rows = metrics["comparison"]
    if not rows:
        return []
    teacher = metrics["reference"]["name"]
    return [
        "## Amorphous structures relaxed with it and with others",
        filled(
            f"{metrics['settings']['compare']} networks of 64 atoms, quenched at 5e14 K/s in the potential of Vink et "
            "al. and relaxed at fixed cell to 0.05 eV/Å with each potential; neighbours within 2.85 Å. Energies above "
            "diamond in meV/atom, of the potential itself and of the teacher at the same places; literature 130 to "
            "170. The rank correlation (Spearman, 95 % interval) is of the relaxed energies with the teacher's."
        ),
        table(
            [*COLUMNS, f"... by {teacher}", "steps", "CPU s", "rank"],
            *map(_row, rows),
        ),
    ]


def _row(one: dict[str, Any]) -> list[str]:
    shares = " / ".join(f"{share:.1f}" for share in one["coordination"].values())
    geometry = [f"{one['bond']:.3f} ({one['bond_deviation']:.3f})", f"{one['angle_deviation']:.1f}"]
    own = f"{one['above_own_diamond']:.0f}" if "above_own_diamond" in one else ""
    seconds = one.get("seconds_per_structure")
    cost = [f"{one['steps']:.0f}" if "steps" in one else "", "" if seconds is None else f"{seconds:.1f}"]
    rank = ""
    if one.get("spearman") is not None:
        low, high = one["spearman_interval"]
        rank = f"{one['spearman']:.2f} ({low:.2f} to {high:.2f})"
    return [one["name"], shares, *geometry, own, f"{one['reference_above_diamond']:.0f}", *cost, rank]
