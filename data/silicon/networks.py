"""Many networks of amorphous silicon, made in processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.progress import reported
from data.silicon.checks import counted, refusal
from data.silicon.engine import lammps_version
from data.silicon.quench import Quench
from data.silicon.results import KeptResults
from data.silicon.slices import Slices

NETWORKS = "networks.bin"
HOPELESS = 50  # networks that are refused one after the other


class Network(NamedTuple):
    """A network before it is relaxed with the potential of the set.

    Attributes:
        sample: its number.
        reason: why it is refused; empty if it is not.
        energy: with the potential of Vink, eV.
        positions: Cartesian, Angstrom, shape (atoms, 3).
    """

    sample: int
    reason: str
    energy: float
    positions: np.ndarray


def kept_networks(folder: Path, source: Quench | Slices) -> KeptResults[Network]:
    """The networks of a build, from an earlier call too.

    Raises:
        CryinGANError: the folder holds those of another build, or cannot be written.
    """
    return KeptResults(folder / NETWORKS, key_of(source), Network)


def key_of(source: Quench | Slices) -> dict[str, Any]:
    """What decides all networks of a build, in plain values.

    Raises:
        CryinGANError: there is no LAMMPS, whose version is one of them.
    """
    fields = {name: value for name, value in asdict(source).items() if name != "path"}  # a file may move
    return {**fields, "protocol": source.protocol, "lammps": lammps_version()}


def make_networks(kept: KeptResults[Network], source: Quench | Slices, n: int, processes: int | None) -> list[Network]:
    """Make networks, from the lowest number that is missing on, until `n` are accepted.

    Args:
        kept: where they are kept; those in it are not made again.
        source: makes them.
        n: how many are wanted.
        processes: that make them; one for every processor when None.

    Returns:
        The first `n` accepted ones, by number.

    Raises:
        CryinGANError: one after the other is refused.
    """
    accepted = sum(not network.reason for network in kept)

    def numbers() -> Iterator[int]:
        number, last = 0, max(kept.known, default=-1)  # below the last one a kill of several processes leaves gaps
        while accepted < n or number < last:
            if number not in kept.known:
                yield number
            number += 1

    def expected(done: int, _: Network) -> int:
        return done + max(0, n - accepted)

    with closing(kept.keep(_made(source, numbers(), processes))) as making:
        for network in reported(making, expected, "making networks", "made networks", len(kept.known)):
            accepted += not network.reason
            if network.reason:
                print(f"structure {network.sample} is refused: {network.reason}", flush=True)
                require_some_good([one.reason for one in kept])
    return [network for network in kept if not network.reason][:n]


def require_some_good(reasons: Sequence[str]) -> None:
    """Stop a build that would never end.

    Args:
        reasons: why structures are refused, by number; empty where they are not.

    Raises:
        CryinGANError: all of the last ones are.
    """
    last = reasons[-HOPELESS:]
    if len(last) == HOPELESS and all(last):
        commonest, count = next(iter(counted(last).items()))
        raise CryinGANError(
            f"the last {HOPELESS} structures were refused, {count} of them as {commonest}: see docs/silicon.md for "
            "settings that make amorphous silicon"
        )


def _made(source: Quench | Slices, numbers: Iterator[int], processes: int | None) -> Iterator[Network]:
    """Networks as they end; several processes make a few more than are wanted."""
    if processes == 1:
        yield from (make_network(source, number) for number in numbers)
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = Parallel(processes or -1, return_as="generator_unordered", batch_size=1)
    yield from parallel(delayed(make_network)(source, number) for number in numbers)


def make_network(source: Quench | Slices, number: int) -> Network:
    """Make one network, and check it."""
    positions, energy = source.network(number)
    return Network(number, refusal(positions, source.side * np.eye(3)), energy, positions)
