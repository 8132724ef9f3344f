"""Seconds to read a large structure file, first and from its cache: `python -m benchmarks.loading [structures]`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures

ATOMS_A_SIDE = (4, 6, 11)  # 264 atoms, as many as the interface has


def made(structures: int) -> Crystals:
    """Jittered grids of 264 atoms of five species, no two of them close."""
    rng = np.random.default_rng(0)
    sites = np.stack(np.meshgrid(*[np.arange(n) / n for n in ATOMS_A_SIDE], indexing="ij"), axis=-1).reshape(-1, 3)
    fractional = sites + rng.uniform(-0.01, 0.01, (structures, len(sites), 3))
    species = np.repeat(["Li", "Co", "O", "Zr", "La"], [100, 60, 60, 24, 20])
    return Crystals(fractional, np.diag([12.0, 18.0, 33.0]), tuple(species.tolist()))


def seconds(action, *arguments) -> float:
    """Time that a call takes."""
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


if __name__ == "__main__":
    structures = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.extxyz"
        print(f"write       {seconds(write_structures, made(structures), path):7.2f} s")
        print(f"            {path.stat().st_size / 1e6:7.0f} MB, {structures} structures")
        print(f"first read  {seconds(read_structures, path):7.2f} s")
        for _ in range(3):
            print(f"cached read {seconds(read_structures, path):7.2f} s")
