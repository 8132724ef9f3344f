"""Figures and tables of the alloy card: `python -m data.alloy.figures` (two minutes on one core)."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from cryingan.metrics.alloy.fcc import SRO_NAMES, cluster_counts, formation_energy, short_range_order
from data.alloy.build import HOLD_BLOCKS, SWEEPS_PER_BLOCK, schedule
from data.alloy.montecarlo import START, advance, occupation_of, ordered_start, random_start, streams
from data.alloy.sets import ALLOY_SETS, KINDS, read_occupation, set_path, window_around

SETS = [(300, "wide"), (300, "narrow"), (1500, "wide"), (1500, "narrow")]
COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00")  # Okabe and Ito: safe for colour blindness
CHAINS = 200
RECORDS = (1, 2, 5, 10, 20, 40, 100, 200, 400, 600)
"""Sweeps at the final temperature after which chains are recorded."""
LONGEST = {300: 600, 1500: 200}


def observe(sites: np.ndarray) -> np.ndarray:
    """Energy (meV/atom) and short-range order (12 columns) of every chain, shape (chains, 13)."""
    counts = cluster_counts(occupation_of(sites, KINDS))
    return np.column_stack([1000 * formation_energy(counts), short_range_order(counts)])


def relaxation(temperature: float, start: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Follow chains at one temperature.

    Args:
        temperature: kelvin.
        start: "random" or "ordered" (at this temperature at once), or "annealed" (random, cooled as the sets are).
        seed: seed of the chains; their purpose is 0, that of the sets never is, so they share no random numbers.

    Returns:
        Sweeps, shape (records,), and `observe` at each, shape (records, chains, 13).
    """
    chains = np.arange(CHAINS)
    sites = ordered_start(CHAINS)
    if start != "ordered":
        sites = random_start(streams(seed, 0, chains, START), len(KINDS))
    block = 0
    if start == "annealed":
        for hotter in schedule(temperature)[schedule(temperature) > temperature]:
            sites = advance(sites, KINDS, streams(seed, 0, chains, block), SWEEPS_PER_BLOCK, hotter)
            block += 1
    sweeps = np.array([0] + [s for s in RECORDS if s <= LONGEST[temperature]])
    seen = [observe(sites)]
    for number in np.diff(sweeps):
        sites = advance(sites, KINDS, streams(seed, 0, chains, block), int(number), temperature)
        block += 1
        seen.append(observe(sites))
    return sweeps, np.array(seen)


def draw_relaxation() -> None:
    """Draw energy and the slowest short-range order against sweeps, from independent starts; print the last values."""
    starts = {"annealed": ("#0072B2", "o"), "ordered": ("#D55E00", "s"), "random": ("#999999", "^")}
    columns = {"energy (meV/atom)": 0, "1NN Cr-Cr order": 1, "1NN Ni-Ni order": 6}
    figure, axes = plt.subplots(3, 2, figsize=(8, 7.5), sharex="col", sharey="row", layout="constrained")
    for side, temperature in enumerate(LONGEST):
        for number, (start, (colour, marker)) in enumerate(starts.items()):
            if start == "annealed" and not (schedule(temperature) > temperature).any():
                continue
            sweeps, seen = relaxation(temperature, start, number)
            middle, error = seen.mean(axis=1), 1.96 * seen.std(axis=1) / np.sqrt(CHAINS)
            label = f"{start} start" if start != "annealed" else "random start, annealed from 1,000 K"
            for axis, column in zip(axes[:, side], columns.values(), strict=True):
                low, high = middle[:, column] - error[:, column], middle[:, column] + error[:, column]
                axis.fill_between(sweeps + 1, low, high, color=colour, alpha=0.25, linewidth=0)
                axis.plot(sweeps + 1, middle[:, column], color=colour, marker=marker, markersize=4, label=label)
            ends = " | ".join(f"{m:.3f} ± {e:.3f}" for m, e in zip(middle[-1][:7], error[-1][:7], strict=True))
            print(f"| {temperature} K, {start}, {sweeps[-1]} sweeps | {ends} |")
        axes[0, side].set_title(f"{temperature:,} K")
        axes[0, side].legend(fontsize=8)
        axes[-1, side].set_xscale("log")
        axes[-1, side].set_xlabel("sweeps at this temperature + 1")
    for axis in axes.flat:
        axis.axvline(HOLD_BLOCKS * SWEEPS_PER_BLOCK, color="0.3", linestyle=":", linewidth=1)
    for axis, name in zip(axes[:, 0], columns, strict=True):
        axis.set_ylabel(name)
    figure.savefig(ALLOY_SETS / "equilibration.png", dpi=110)


def _boxes(axis: Axes, values: np.ndarray, names: tuple[str, ...], number: int, label: str) -> None:
    places = np.arange(len(names)) + 0.2 * (number - 1.5)
    style = {"facecolor": COLOURS[number], "linewidth": 0.6}
    axis.boxplot(
        values, positions=places, widths=0.17, whis=(2.5, 97.5), showfliers=False, patch_artist=True, boxprops=style,
        medianprops={"color": "black"}, whiskerprops={"linewidth": 0.8}, capprops={"linewidth": 0.8}, label=label,
    )  # fmt: skip
    axis.set_xticks(np.arange(len(names)), [name.replace("NN_", "NN ") for name in names])


def draw_sets() -> None:
    """Draw energies and short-range order of the four sets; print their means, standard deviations and windows."""
    figure, axes = plt.subplot_mosaic([[0, 1], [2, 2], [3, 3]], figsize=(9, 8), layout="constrained")
    energies, shells = (axes[0], axes[1]), (axes[2], axes[3])
    for number, (temperature, width) in enumerate(SETS):
        occupied, label = read_occupation(set_path(temperature, width)), f"{temperature:,} K {width}"
        counts = cluster_counts(occupied)
        energy, order = 1000 * formation_energy(counts), short_range_order(counts)
        style = {"histtype": "step", "linewidth": 1.8} if width == "wide" else {"alpha": 0.6}
        centre = np.floor(energy.mean())
        edges = np.arange(centre - 6, centre + 7, 0.4)
        energies[number // 2].hist(energy, edges, color=COLOURS[number], label=label, **style)
        for shell, axis in enumerate(shells):
            _boxes(axis, order[:, 6 * shell : 6 * shell + 6], SRO_NAMES[6 * shell : 6 * shell + 6], number, label)
        values = " | ".join(f"{m:.3f} ({s:.3f})" for m, s in zip(order.mean(axis=0), order.std(axis=0), strict=True))
        print(f"| {label} | {energy.mean():.2f} ({energy.std():.2f}) | {values} |")
        if width == "wide":
            print(f"window: {window_around(occupied)}")
    for axis in energies:
        axis.set(xlabel="formation energy (meV/atom)", ylabel="structures")
        axis.legend(fontsize=8)
    for axis in shells:
        axis.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        axis.set_ylabel("short-range order")
    shells[0].set_ylim(top=1.3)
    shells[0].legend(fontsize=8, ncols=4)
    figure.savefig(ALLOY_SETS / "distributions.png", dpi=110)


if __name__ == "__main__":
    draw_relaxation()
    draw_sets()
