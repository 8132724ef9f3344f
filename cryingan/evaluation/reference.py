"""The reference of an evaluation: structures, whose descriptors are cached, or published statistics."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from cryingan import __version__
from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Benchmark, Sample
from cryingan.evaluation.describe import Described, DescriptorFile, describe_all
from cryingan.storage.cache import cache_folder
from cryingan.storage.locks import lock_cache
from cryingan.structures.checks import formula
from cryingan.structures.formats import is_structure_file
from cryingan.structures.lenient import Candidate, read_candidates
from cryingan.structures.sources import source_hash

DESCRIBED_WITH = ("pymatgen", "numpy", "scipy")

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """The reference that structures are compared with.

    Attributes:
        benchmark: the benchmark, with what it takes from the reference, such as the lattice.
        sample: descriptors of the structures.
        composition: atoms per species, sorted by symbol; of published statistics, of the species in them.
        published: whether it was read from published statistics.
        hash: SHA-256 of the structures or files.
    """

    benchmark: Benchmark
    sample: Sample
    composition: Mapping[str, int]
    published: bool
    hash: str

    def require_comparable(self, composition: Mapping[str, int], name: str) -> None:
        """Raise a CryinGANError if species do not fit the benchmark, or the composition is not the reference's."""
        self.benchmark.require_species(composition, name)
        known = {s: composition.get(s) for s in self.composition} if self.published else composition
        if self.benchmark.composition_matters and dict(known) != dict(self.composition):
            raise _other_composition(name, composition, self.composition)


def versions() -> dict[str, str]:
    """Versions of cryingan and of the libraries that compute descriptors."""
    return {"cryingan": __version__, **{name: version(name) for name in DESCRIBED_WITH}}


def descriptor_key(benchmark: Benchmark, structures_hash: str, types: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that descriptors depend on: structures, elements of their types, settings and versions."""
    key = {"structures": structures_hash, "settings": benchmark.settings(), "versions": versions()}
    return key | {"types": list(types)} if types else key


def load_reference(
    source: str | Path | Sequence[Atoms],
    benchmark: Benchmark,
    processes: int | None = None,
    progress: bool = True,
    types: Sequence[str] = (),
    compared: tuple[str, Sequence[Candidate]] = ("", ()),
) -> ReferenceSet:
    """Return the descriptors of a reference, cached beside it in `.cryingan` while content, settings, versions stay.

    Args:
        source: structures as `cryingan.structures.lenient` reads them, or a folder of CSV files with the statistics
            that Dismai-Bench publishes.
        benchmark: what to describe.
        processes: as for `cryingan.evaluation.describe.describe_all`.
        progress: likewise.
        types: as for `cryingan.structures.lenient.read_candidates`.
        compared: name and structures of what will be compared with it, if that is known.

    Raises:
        CryinGANError: there is nothing to read, no structure can be described, the species do not fit the benchmark, or
            none of those that will be compared has a composition of the reference.
    """
    path = Path(source) if isinstance(source, str | Path) else None
    if path is not None and path.is_dir() and not any(map(is_structure_file, path.iterdir())):
        return _published(path, benchmark)
    frames = list(read_candidates(source, types))
    first = next((frame for frame in frames if frame.atoms is not None), None)
    name = str(path or "the reference")
    if first is None:
        raise CryinGANError(f"{name} cannot be a reference: {frames[0].reason if frames else 'it is empty'}")
    benchmark = benchmark.for_species(first.composition, name).for_reference(first.atoms)
    if benchmark.composition_matters:
        _require_common_composition(*compared, frames)
    structures_hash = source_hash(source)
    with nullcontext() if path is None else _kept(path, descriptor_key(benchmark, structures_hash, types)) as kept:
        described = describe_all(frames, benchmark.describe, kept, processes, progress)
    sample, composition = _of_one_composition(described, benchmark, name)
    return ReferenceSet(benchmark, sample, composition, False, structures_hash)


def _require_common_composition(name: str, structures: Sequence[Candidate], frames: Sequence[Candidate]) -> None:
    """Refuse what cannot be compared before anything is described, which may take hours."""
    ours, theirs = ([frame.composition for frame in each if frame.atoms is not None] for each in (structures, frames))
    if ours and not any(composition in theirs for composition in ours):
        raise _other_composition(name, ours[0], theirs[0])


def _other_composition(name: str, ours: Mapping[str, int], theirs: Mapping[str, int]) -> CryinGANError:
    return CryinGANError(f"{name} holds {formula(ours)}, but the reference {formula(theirs)}: they cannot be compared")


def stacked(described: Sequence[Described]) -> Sample:
    """Stack descriptors of at least one structure along a first axis of structures."""
    arrays = {name: np.stack([one.arrays[name] for one in described]) for name in described[0].arrays}
    return Sample(arrays, np.array([one.number for one in described]))


def _published(folder: Path, benchmark: Benchmark) -> ReferenceSet:
    sample, composition = benchmark.published(folder)
    lines = [f"{source_hash(file)}  {file.relative_to(folder)}\n" for file in sorted(folder.rglob("*.csv"))]
    return ReferenceSet(benchmark, sample, composition, True, hashlib.sha256("".join(lines).encode()).hexdigest())


def _of_one_composition(
    described: Sequence[Described], benchmark: Benchmark, name: str
) -> tuple[Sample, Mapping[str, int]]:
    """Return the described structures of the commonest composition, and that composition."""
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
    return stacked(taken), composition


@contextmanager
def _kept(path: Path, key: Mapping[str, Any]) -> Iterator[DescriptorFile]:
    """The cache of a reference; of several processes that need it one writes, the others wait for it."""
    settings = hashlib.sha256(json.dumps(key["settings"], sort_keys=True).encode()).hexdigest()
    file = cache_folder(path) / f"{path.name}.{key['settings']['benchmark']}-{settings[:8]}.descriptors"
    with lock_cache(file, f"describes {path}"):
        yield DescriptorFile(file, key, cache=True)
