"""The reference of an evaluation: described once, kept beside the file; or statistics that were published."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan import __version__
from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Benchmark, Sample
from cryingan.evaluation.describe import describe_all
from cryingan.evaluation.descriptor_file import Described, DescriptorFile
from cryingan.structures.checks import formula
from cryingan.structures.lenient import STRUCTURE_FILE, read_candidates, source_hash

if TYPE_CHECKING:
    from ase import Atoms

DESCRIBED_WITH = ("pymatgen", "numpy", "scipy")

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Reference:
    """What structures are compared with.

    Attributes:
        benchmark: with what it takes from the reference.
        sample: its structures.
        composition: atoms per species, sorted by symbol; of published statistics those of the species that they tell.
        published: whether it was read from published statistics.
        hash: SHA-256 of its files.
    """

    benchmark: Benchmark
    sample: Sample
    composition: Mapping[str, int]
    published: bool
    hash: str

    def same_composition(self, composition: Mapping[str, int]) -> bool:
        """Whether structures of this composition can be compared with it."""
        if not self.benchmark.composition_matters:
            return True
        known = composition.items() if not self.published else {s: composition.get(s) for s in self.composition}.items()
        return dict(known) == dict(self.composition)


def versions() -> dict[str, str]:
    """Our version and those of the libraries that descriptors come from."""
    return {"cryingan": __version__, **{name: version(name) for name in DESCRIBED_WITH}}


def descriptor_key(benchmark: Benchmark, hash: str) -> dict[str, Any]:
    """What decides descriptors: the structures, the settings and the versions."""
    return {"structures": hash, "settings": benchmark.settings(), "versions": versions()}


def load_reference(
    source: str | Path | Sequence[Atoms], benchmark: Benchmark, processes: int | None = None, progress: bool = True
) -> Reference:
    """Descriptors of a reference.

    Structures are described once: a file `.NAME.*.descriptors` beside them keeps what was computed, as long as their
    content, the settings and the versions stay the same.

    Args:
        source: structures as `cryingan.structures.lenient` reads them, or a folder of CSV files with the statistics
            that Dismai-Bench publishes.
        benchmark: with its settings.
        processes: as for `cryingan.evaluation.describe.describe_all`.
        progress: likewise.

    Raises:
        CryinGANError: there is nothing to read, no structure of the reference can be described, or it is none for this
            benchmark.
    """
    path = Path(source) if isinstance(source, str | Path) else None
    if path is not None and path.is_dir() and not any(STRUCTURE_FILE.fullmatch(file.name) for file in path.iterdir()):
        return _published(path, benchmark)
    frames = list(read_candidates(source))
    first = next((frame for frame in frames if frame.atoms is not None), None)
    name = str(path or "the reference")
    if first is None:
        raise CryinGANError(f"{name} cannot be a reference: {frames[0].reason if frames else 'it is empty'}")
    benchmark.require_species(first.composition, name)
    benchmark = benchmark.for_reference(first.atoms)
    hash = source_hash(source)
    with ExitStack() as stack:
        kept = None
        if path is not None:
            kept = stack.enter_context(_kept(path, descriptor_key(benchmark, hash)))
        described = describe_all(frames, benchmark.describe, kept, processes, progress)
    sample, composition = _of_one_composition(described, benchmark, name)
    return Reference(benchmark, sample, composition, False, hash)


def stacked(described: Sequence[Described], nothing: Mapping[str, np.ndarray]) -> Sample:
    """Descriptors of structures as arrays with the structures first; `nothing` where there are none."""
    if not described:
        return Sample(nothing, np.empty(0, dtype=int))
    arrays = {name: np.stack([one.arrays[name] for one in described]) for name in described[0].arrays}
    return Sample(arrays, np.array([one.number for one in described]))


def _published(folder: Path, benchmark: Benchmark) -> Reference:
    sample, composition = benchmark.published(folder)
    lines = [f"{source_hash(file)}  {file.relative_to(folder)}\n" for file in sorted(folder.rglob("*.csv"))]
    return Reference(benchmark, sample, composition, True, hashlib.sha256("".join(lines).encode()).hexdigest())


def _of_one_composition(
    described: Sequence[Described], benchmark: Benchmark, name: str
) -> tuple[Sample, Mapping[str, int]]:
    """The structures that could be described and have the commonest composition, and that composition."""
    usable = [one for one in described if not one.reason]
    if not usable:
        raise CryinGANError(f"{name} cannot be a reference: {described[0].reason}")
    common = Counter(formula(one.composition) for one in usable).most_common(1)[0][0]
    taken = [one for one in usable if not benchmark.composition_matters or formula(one.composition) == common]
    if len(taken) < len(described):
        lost = next(one for one in described if one not in taken)
        reason = lost.reason or f"{formula(lost.composition)}, not {common}"
        log.warning(
            "%s: %d of %d structures are left out of the reference; structure %d: %s",
            *(name, len(described) - len(taken), len(described), lost.number, reason),
        )
    composition = next(one.composition for one in usable if formula(one.composition) == common)
    return stacked(taken, {}), composition


@contextmanager
def _kept(path: Path, key: Mapping[str, Any]) -> Iterator[DescriptorFile]:
    """The hidden file beside a reference; of several processes that need it one writes, the others wait for it."""
    settings = hashlib.sha256(json.dumps(key["settings"], sort_keys=True).encode()).hexdigest()
    file = path.with_name(f".{path.name}.{key['settings']['benchmark']}-{settings[:8]}.descriptors")
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(file.with_name(file.name + ".lock").open("wb"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting for another process that describes {path}", file=sys.stderr, flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a folder that cannot be written, or a filesystem without locks
            log.info("no lock beside %s", path)
        yield DescriptorFile(file, key, cache=True)
