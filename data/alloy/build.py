"""Build an alloy data set: `python -m data.alloy.build temperature=300 width=wide [seed=0] [n=1500] [folder=...]`.

Every structure is the last state of its own Monte Carlo chain, which starts random and is cooled from 1,000 K, or held
at its temperature where that is higher. A `wide` set takes each chain at the end of its equilibration. A `narrow` set
continues each chain until its first-shell order lies in a window around the median of the wide set. A killed build
resumes when it is started again, and writes the same bytes as one that was never killed.
"""

from __future__ import annotations

import time
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import replace_file
from data.alloy.montecarlo import START, advance, occupation_of, random_start, streams
from data.alloy.sets import ALLOY_SETS, KINDS, Window, read_occupation, set_path, window_around, write_set
from data.command import run_command
from data.replacement import require_no_larger_set

SWEEPS_PER_BLOCK = 20
SWEEPS_PER_SEARCH = 5  # between two checks whether a chain has reached the window
HOTTEST = 1000
COOLING = 0.92  # ratio of two temperatures of the annealing
HOLD_BLOCKS = 10  # at the final temperature
CHAINS_PER_TASK = 125  # few enough for their fields to stay in the processor's cache


@dataclass
class AlloySettings:
    """Settings of an alloy data set.

    Attributes:
        temperature: kelvin, a whole number.
        width: `wide` or `narrow`.
        seed: seed of all chains.
        n: number of structures.
        folder: folder that the set is written to; a narrow set finds its wide one there.
    """

    temperature: int
    width: str
    seed: int = 0
    n: int = 1500
    folder: str = str(ALLOY_SETS)

    def __post_init__(self) -> None:
        if self.width not in ("wide", "narrow"):
            raise CryinGANError(f"width={self.width} must be wide or narrow")
        for key, least in (("temperature", 1), ("seed", 0), ("n", 1)):
            if getattr(self, key) < least:
                raise CryinGANError(f"{key}={getattr(self, key)} must be at least {least}")

    @property
    def path(self) -> Path:
        """The file of the set."""
        return set_path(self.temperature, self.width, self.folder)

    @property
    def purpose(self) -> int:
        """Number that separates the random streams of the sets of one seed."""
        return 2 * self.temperature + (self.width == "narrow")


class State(NamedTuple):
    """State of the chains: blocks done, site of every atom, shape (chains, atoms), and which chains have ended."""

    block: int
    sites: np.ndarray
    ended: np.ndarray


def schedule(temperature: float) -> np.ndarray:
    """Temperature (K) of every block of the equilibration: cooling from 1,000 K, then constant."""
    steps = max(0, round(np.log(temperature / HOTTEST) / np.log(COOLING)))
    cooling = np.geomspace(HOTTEST, temperature, steps, endpoint=False)
    return np.append(cooling, np.full(HOLD_BLOCKS, float(temperature)))


def start(settings: AlloySettings, chains: np.ndarray) -> State:
    """Random alloys: the state before the first block."""
    generators = streams(settings.seed, settings.purpose, chains, START)
    return State(0, random_start(generators, len(KINDS)), np.zeros(len(chains), dtype=bool))


def run_block(
    settings: AlloySettings, chains: np.ndarray, window: Window | None, state: State, pool: Executor | None = None
) -> State:
    """Advance the chains that have not ended by one block, and mark those that end with it.

    Args:
        settings: temperature, width and seed.
        chains: the number of each chain, shape (chains,).
        window: first-shell order at which a chain of a narrow set ends; None for a wide set.
        state: state before the block.
        pool: runs parts of the chains in parallel.
    """
    temperatures = schedule(settings.temperature)
    block, sites, ended = state.block, state.sites.copy(), state.ended.copy()
    temperature = temperatures[min(block, len(temperatures) - 1)]
    running = np.flatnonzero(~ended)
    parts = np.array_split(running, -(-len(running) // CHAINS_PER_TASK))
    sweeps = SWEEPS_PER_BLOCK if block < len(temperatures) else SWEEPS_PER_SEARCH
    tasks = [(settings.seed, settings.purpose, chains[part], block, sites[part], sweeps, temperature) for part in parts]
    sites[running] = np.concatenate(list((pool.map if pool else map)(_advance_task, tasks)))
    if block + 1 >= len(temperatures):
        ended[running] = True if window is None else window.holds(occupation_of(sites[running], KINDS))
    return State(block + 1, sites, ended)


def _advance_task(task: tuple) -> np.ndarray:
    seed, purpose, chains, block, sites, sweeps, temperature = task
    return advance(sites, KINDS, streams(seed, purpose, chains, block), sweeps, temperature)


def _save(path: Path, label: str, state: State) -> None:
    with replace_file(path) as file:
        np.savez(file, label=label, block=state.block, sites=state.sites.astype(np.uint8), ended=state.ended)


def _load(path: Path, label: str) -> State:
    with np.load(path) as saved:
        if saved["label"] != label:
            raise CryinGANError(f"{path} is of another build ({saved['label']}): finish that one or remove the file")
        return State(int(saved["block"]), saved["sites"].astype(np.int64), saved["ended"])


def _progress(settings: AlloySettings, first: State, state: State, elapsed: float) -> str:
    """One line of progress, with the time left estimated from the `elapsed` seconds since the state `first`."""
    total, ended = len(schedule(settings.temperature)), int(state.ended.sum())
    if state.block < total:
        text, done, left = f"block {state.block} of {total}", state.block - first.block, total - state.block
    else:
        text, done, left = f"{ended} of {settings.n} structures", ended - int(first.ended.sum()), settings.n - ended
    eta = f", about {elapsed / done * left:.0f} s to go" if done and left else ""
    return f"{settings.path.name}: {text}, {elapsed:.0f} s{eta}"


def build(settings: AlloySettings) -> Path:
    """Build a set; resumes from the state file beside it where there is one.

    Returns:
        The file written.

    Raises:
        CryinGANError: the wide set of a narrow one is missing, the state file belongs to another build, the set that
            is there is larger, or a file cannot be written.
    """
    require_no_larger_set(settings.path, settings.n)
    chains, window = np.arange(settings.n), None
    label = f"temperature={settings.temperature} width={settings.width} seed={settings.seed} n={settings.n}"
    if settings.width == "narrow":
        window = window_around(read_occupation(set_path(settings.temperature, "wide", settings.folder)))
        label += f" window={np.ravel(window).tolist()}"
    saved = settings.path.with_name(settings.path.name.replace(".extxyz.gz", ".state.part"))
    state = _load(saved, label) if saved.exists() else start(settings, chains)
    first, began = state, time.monotonic()
    with ProcessPoolExecutor() as pool:
        while not state.ended.all():
            state = run_block(settings, chains, window, state, pool)
            _save(saved, label, state)
            print(_progress(settings, first, state, time.monotonic() - began), flush=True)
            if state.block == len(schedule(settings.temperature)):
                first, began = state, time.monotonic()  # what follows runs at another pace
    write_set(settings.path, occupation_of(state.sites, KINDS))
    saved.unlink()
    return settings.path


if __name__ == "__main__":
    run_command(build, AlloySettings)
