"""Read structures strictly, checking everything, and write them whole or not at all."""

from __future__ import annotations

import logging
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.progress import reported
from cryingan.storage.atomic import make_folder, replace_file, replace_folder
from cryingan.storage.cache import cache_folder
from cryingan.structures.checks import CLOSEST, checked, matched
from cryingan.structures.constraints import lattice_directions, stacked
from cryingan.structures.crystals import Crystals
from cryingan.structures.formats import iterate_frames
from cryingan.structures.frames import RawFrame, is_isolated_atom
from cryingan.structures.sources import name_the_others, source_hash, structure_files
from cryingan.structures.vasp_output import RELAXATION

log = logging.getLogger(__name__)

SLOW_SECONDS = 2.0  # reading that takes longer is reported and cached
CACHE_VERSION = 2
STEPS = "%s: %d ionic steps of relaxations in %d files are all structures; '%s' gives the last ones alone"
SUFFIXES = {"cif": ".cif", "poscar": ".vasp"}


def read_structures(
    path: str | Path,
    *,
    sort_species: bool = False,
    closest: float = CLOSEST,
    not_finite: bool = False,
    types: Sequence[str] = (),
) -> Crystals:
    """Read structures of one cell and one composition from files in any format that ASE reads.

    Text may be compressed (.gz, .bz2, .xz). The atoms have the order of the first frame. Cells may differ by 1e-3
    Angstrom, as those of programs do that write few digits; the first one is kept. Atoms that the file fixes
    (move_mask, selective dynamics, ASE's constraints) stay marked; other constraints are dropped, with a warning that
    names the first. What takes longer than 2 s to read is cached in the folder `.cryingan` beside it; the cache is used
    as long as the content of the files and the other arguments stay the same.

    Args:
        path: a file, or a folder or pattern (`set/*.vasp`) of files, which are read in natural order (2.vasp before
            10.vasp).
        sort_species: match frames with another order of the same species to the first frame's order; atoms of one
            species keep their order. Otherwise such frames are refused.
        closest: Angstrom; frames with atoms closer than this are refused. 0 for structures that will be repaired.
        not_finite: keep frames with positions that are not finite or too far away, instead of refusing the file.
        types: elements of the types 1, 2, ... of files that give none: dumps and data of LAMMPS, POSCAR of VASP 4,
            numbers in the place of species in XYZ.

    Returns:
        The structures, coordinates wrapped into [0, 1); with `not_finite`, NaN for atoms without a usable position.

    Raises:
        CryinGANError: the file cannot be read, or a frame fails a check; one line naming file, frame and atom or line
            (all counted from 1).

    Example:
        >>> import tempfile
        >>> crystals = Crystals(np.full((2, 1, 3), 0.5), 3.0 * np.eye(3), ("Li",))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "lithium.extxyz"
        ...     write_structures(crystals, path)
        ...     read_structures(path).fractional[0]
        array([[0.5, 0.5, 0.5]])
    """
    path = Path(path)
    arguments = (sort_species, closest, not_finite, tuple(types))
    key = cache_key(path, *arguments)
    name_the_others(path)
    cache = cache_folder(path) / f"{path.name}.structures.npz"
    if (crystals := load_cache(cache, key)) is not None:
        return crystals
    start = time.monotonic()
    with warnings.catch_warnings(action="ignore"):  # of ASE's parsers; what matters is checked here
        crystals = parse(path, *arguments)
    if time.monotonic() - start > SLOW_SECONDS and key == cache_key(path, *arguments):
        save_cache(cache, key, crystals)
    return crystals


def cache_key(path: Path, *arguments: object) -> str:
    """What a cache depends on: the files' content and the arguments."""
    return " ".join(map(str, (CACHE_VERSION, source_hash(path), *arguments)))


def frames_of_all(path: Path, types: Sequence[str] = ()) -> Iterator[RawFrame]:
    """The frames of a file, or of all files of a folder or pattern, each with the part of all that has been read."""
    files = structure_files(path)
    for number, file in enumerate(files):
        empty = True
        for frame in iterate_frames(file, types):
            empty = False
            yield frame._replace(share=(number + frame.share) / len(files) if frame.share else None)
        if empty:
            raise CryinGANError(f"{file} holds no structures")


def parse(path: Path, sort_species: bool, closest: float, not_finite: bool, types: Sequence[str]) -> Crystals:
    """Read and check all frames of a file or of several."""
    first, fractional, fixed, not_kept, without_pbc = None, [], [], "", False
    isolated, relaxations = 0, Counter()
    for raw in reported_if_slow(frames_of_all(path, types), path):
        if is_isolated_atom(raw):
            isolated += 1
            continue
        if RELAXATION in raw.info:
            relaxations[raw.where.rpartition(", frame ")[0]] += 1
        frame = checked(raw, closest, not_finite=not_finite)
        first = first or frame
        frame = matched(frame, first, sort_species=sort_species)
        fractional.append(frame.fractional)
        fixed.append(frame.fixed)
        not_kept = not_kept or frame.not_kept
        without_pbc |= "Lattice" in raw.info and "pbc" not in raw.info
    if first is None:
        raise CryinGANError(f"{path} holds no structures, only {isolated} isolated atoms")
    if isolated:
        log.warning("%s: %d isolated atoms are no structures and left out", path, isolated)
    if relaxations:
        log.info(STEPS, path, relaxations.total(), len(relaxations), path.parent / "CONTCAR")
    if without_pbc:
        log.info("%s has no pbc: frames with a Lattice are taken as periodic", path)
    if not_kept:
        log.warning("%s", not_kept)
    return Crystals(np.stack(fractional), first.cell, first.symbols, stacked(fixed, len(first.numbers)))


def reported_if_slow(frames: Iterator[RawFrame], path: Path) -> Iterator[RawFrame]:
    """Pass frames on, and report them after `SLOW_SECONDS`."""
    start = time.monotonic()
    for number, frame in enumerate(frames, start=1):
        yield frame
        if time.monotonic() - start > SLOW_SECONDS:
            log.info("Reading %s, which takes a while (%d structures so far)", path, number)
            done = f"{path.name}: structures read:"
            yield from reported(frames, _estimated, f"reading {path.name}", done, number)
            return


def _estimated(number: int, frame: RawFrame) -> int | None:
    """How many frames there are, as those of a file are about equally long; None where the rest has been read ahead."""
    return round(number / frame.share) if frame.share and frame.share < 1 else None


def load_cache(cache: Path, key: str) -> Crystals | None:
    """Structures that `save_cache` kept under the same key; None if there are none, or the file is damaged."""
    try:
        with np.load(cache, allow_pickle=False) as arrays:
            if str(arrays["key"]) != key:
                return None
            fixed = arrays["fixed"] if arrays["fixed"].size else None
            return Crystals(arrays["fractional"], arrays["cell"], tuple(arrays["species"].tolist()), fixed)
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged archive can raise anything; the structure file is still there
        log.info("%s is not used: %s", cache, error)
        return None


def save_cache(cache: Path, key: str, crystals: Crystals) -> None:
    """Keep what was read; a folder that cannot be written to is no error, the file is just parsed again next time."""
    with suppress(CryinGANError):
        make_folder(cache.parent)
        fixed = np.empty(0) if crystals.fixed is None else crystals.fixed
        arrays = {"fractional": crystals.fractional, "cell": crystals.cell, "species": crystals.species, "fixed": fixed}
        with replace_file(cache) as file:
            np.savez(file, key=key, **arrays)


def write_structures(
    crystals: Crystals, path: str | Path, file_format: str = "extxyz", numbers: Sequence[int] | None = None
) -> None:
    """Write structures, whole or not at all; the same structures give the same bytes.

    Every format keeps the order of the atoms. CIF holds lengths and angles only: it loses the orientation and the
    handedness of the cell and keeps the fractional coordinates. Extended XYZ holds Cartesian coordinates to 1e-8
    Angstrom; CIF and POSCAR hold every digit of the fractional ones. Fixed atoms are marked in extended XYZ (move_mask)
    and POSCAR (selective dynamics); CIF cannot hold them, which a warning says.

    Args:
        crystals: at least one structure.
        path: a file for extxyz; for cif and poscar a folder with one file per structure, 0001.cif or 0001.vasp and so
            on. An existing file is replaced; an existing folder only if it holds nothing but such files.
        file_format: extxyz, cif or poscar.
        numbers: of the structures for the names of files, counted from 0; None for 0, 1, 2 and so on.

    Raises:
        CryinGANError: unknown format, nothing to write, a fixed direction that POSCAR cannot hold, or `path` cannot be
            written; an existing file or folder is untouched.

    Example:
        >>> import tempfile
        >>> crystals = Crystals(np.full((2, 1, 3), 0.5), 3.0 * np.eye(3), ("Li",))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_structures(crystals, Path(folder) / "samples", "cif")
        ...     sorted(file.name for file in Path(folder).glob("samples/*"))
        ['0001.cif', '0002.cif']
    """
    path = Path(path)
    if file_format not in ("extxyz", *SUFFIXES):
        raise CryinGANError(f"format={file_format} is not one of extxyz, cif, poscar")
    if len(crystals) == 0:
        raise CryinGANError(f"{path}: there are no structures to write")
    if file_format == "extxyz":
        with replace_file(path) as file:
            file.writelines(extxyz_frames(crystals))
        return
    with replace_folder(path, rf"\d+\{SUFFIXES[file_format]}") as folder:
        numbers = range(len(crystals)) if numbers is None else numbers
        width = max(4, len(str(max(numbers) + 1)))
        for index, number in enumerate(numbers):
            _write_one(crystals[index], folder / f"{number + 1:0{width}d}{SUFFIXES[file_format]}")
    if file_format == "cif" and crystals.fixed is not None:
        log.warning("%s: CIF does not hold which atoms are fixed; extxyz and poscar do", path)


def _write_one(crystal: Crystals, file: Path) -> None:
    """Write one structure as CIF or POSCAR."""
    from ase.constraints import FixScaled
    from ase.io.cif import write_cif
    from ase.io.vasp import write_vasp

    [atoms] = crystal.to_ase()
    if file.suffix == SUFFIXES["cif"]:
        write_cif(file, [atoms], wrap=False)
        return
    if crystal.fixed is not None:
        along = lattice_directions(crystal.fixed[0], crystal.cell)
        atoms.set_constraint([FixScaled(atom, along[atom]) for atom in np.flatnonzero(along.any(axis=1))])
    write_vasp(file, atoms, direct=True, sort=False)


def extxyz_frames(crystals: Crystals) -> Iterator[bytes]:
    """Extended XYZ text of every structure, with a column move_mask where atoms are fixed."""
    lattice = " ".join(repr(float(value)) for value in crystals.cell.ravel())
    free = None if crystals.fixed is None else ~crystals.fixed
    whole = free is not None and (free == free[..., :1]).all()
    columns = "" if free is None else f":move_mask:L:{1 if whole else 3}"
    header = f'{len(crystals.species)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3{columns} pbc="T T T"\n'
    rows = _rows(crystals.species)
    for index, fractional in enumerate(crystals.fractional):
        if free is not None:
            rows = _rows(crystals.species, free[index, :, :1] if whole else free[index])
        yield (header + rows % tuple((fractional @ crystals.cell).ravel())).encode()


def _rows(species: Sequence[str], free: np.ndarray | None = None) -> str:
    """The lines of the atoms, to be filled with their coordinates."""
    masks = [""] * len(species) if free is None else ["".join("  T" if one else "  F" for one in mask) for mask in free]
    return "".join(f"{symbol:<2s} %16.8f %16.8f %16.8f{mask}\n" for symbol, mask in zip(species, masks, strict=True))
