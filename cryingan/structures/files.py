"""Read structures with every check and write them whole or not at all."""

from __future__ import annotations

import io
import logging
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import make_folder, replace_file, replace_folder
from cryingan.storage.cache import cache_folder
from cryingan.storage.hashes import file_hash
from cryingan.structures.checks import CLOSEST, checked, matched
from cryingan.structures.crystals import Crystals
from cryingan.structures.formats import iterate_frames

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

SLOW_SECONDS = 2.0  # reading that takes longer shows progress and leaves a cache
CACHE_VERSION = 1
SUFFIXES = {"cif": ".cif", "poscar": ".vasp"}


def read_structures(
    path: str | Path, *, sort_species: bool = False, closest: float = CLOSEST, not_finite: bool = False
) -> Crystals:
    """Read structures of one cell and one composition from a file in any format that ASE reads.

    Compressed text (.gz, .bz2, .xz) is read too. The order of the atoms is that of the first frame. Cells may differ by
    1e-4 Angstrom; the first one is kept. A file that takes longer than 2 s to read is cached in the folder `.cryingan`
    beside it; the cache is used as long as the content of the file and the other arguments stay the same.

    Args:
        path: the file.
        sort_species: match frames with another order of the same species to the first frame's order; atoms of one
            species keep their order. Otherwise such frames are refused.
        closest: Angstrom; frames with atoms nearer than this are refused. 0 for structures that are to be repaired.
        not_finite: keep frames with positions that are not finite or absurdly far away, instead of refusing the file.

    Returns:
        The structures, coordinates wrapped into [0, 1); with `not_finite`, NaN where an atom is nowhere.

    Raises:
        CryinGANError: the file cannot be read, or a frame cannot be right; one line naming file, frame and atom or line
            (all counted from 1).
    """
    path = Path(path)
    if path.is_dir():
        raise CryinGANError(f"{path} is a folder; give a file of structures")
    if not path.is_file():
        raise CryinGANError(f"{path} is not there; give a file of structures")
    key = cache_key(path, sort_species, closest, not_finite)
    cache = cache_folder(path) / f"{path.name}.structures.npz"
    if (crystals := load_cache(cache, key)) is not None:
        return crystals
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ASE's parsers; what matters is checked here
        crystals = parse(path, sort_species, closest, not_finite)
    if time.monotonic() - start > SLOW_SECONDS and key == cache_key(path, sort_species, closest, not_finite):
        save_cache(cache, key, crystals)
    return crystals


def cache_key(path: Path, sort_species: bool, closest: float, not_finite: bool) -> str:
    """What a cache must have been made from."""
    return f"{CACHE_VERSION} {file_hash(path)} {sort_species} {closest} {not_finite}"


def parse(path: Path, sort_species: bool, closest: float, not_finite: bool = False) -> Crystals:
    """Read and check all frames of a file."""
    first, fractional = None, []
    for number, atoms in enumerate(shown(iterate_frames(path), path), start=1):
        where = f"{path}, frame {number}"
        frame = checked(atoms, where, closest, not_finite=not_finite)
        first = first or frame
        fractional.append(matched(frame, first, where, sort_species=sort_species))
    if first is None:
        raise CryinGANError(f"{path} holds no structures")
    return Crystals(np.stack(fractional), first.cell, first.symbols)


def shown(frames: Iterable[tuple[Atoms, float | None]], path: Path) -> Iterator[Atoms]:
    """Pass frames on; when that takes long, show a progress bar, or one line in the log where there is no terminal."""
    start, progress, told = time.monotonic(), None, False
    with ExitStack() as stack:
        for number, (frame, share) in enumerate(frames, start=1):
            yield frame
            if not told and time.monotonic() - start > SLOW_SECONDS:
                told = True
                if sys.stderr.isatty():
                    from rich.console import Console
                    from rich.progress import Progress

                    progress = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
                    task = progress.add_task("", total=None)
                else:
                    log.info("Reading %s, which takes a while (%d structures so far)", path, number)
            if progress is not None:
                progress.update(
                    task,
                    description=f"{path.name}: {number:,} structures",
                    completed=share or 0,
                    total=None if share is None else 1,
                )


def load_cache(cache: Path, key: str) -> Crystals | None:
    """What `save_cache` kept under the same key; None when there is nothing, or nothing whole."""
    try:
        with np.load(cache, allow_pickle=False) as arrays:
            if str(arrays["key"]) != key:
                return None
            return Crystals(arrays["fractional"], arrays["cell"], tuple(arrays["species"].tolist()))
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever a broken archive makes of itself, the file itself is there
        log.info("%s is not used: %s", cache, error)
        return None


def save_cache(cache: Path, key: str, crystals: Crystals) -> None:
    """Keep what was read; a folder that cannot be written to is no error, reading takes its time again."""
    with suppress(CryinGANError):
        make_folder(cache.parent)
        with replace_file(cache) as file:
            np.savez(file, key=key, fractional=crystals.fractional, cell=crystals.cell, species=crystals.species)


def write_structures(crystals: Crystals, path: str | Path, format: str = "extxyz") -> None:
    """Write structures, whole or not at all; the same structures give the same bytes.

    The order of the atoms is kept in every format. CIF holds lengths and angles only: the orientation of the cell, and
    whether it is left-handed, are lost; the fractional coordinates stay. Extended XYZ holds Cartesian coordinates to
    1e-8 Angstrom; CIF and POSCAR hold every digit of the fractional ones.

    Args:
        crystals: at least one structure.
        path: a file for extxyz; for cif and poscar a folder that gets one file per structure, 0001.cif or 0001.vasp and
            so on. An existing file is replaced, and an existing folder when it holds nothing but such files.
        format: extxyz, cif or poscar.

    Raises:
        CryinGANError: unknown format, nothing to write, or `path` cannot be written; what was there is untouched.
    """
    path = Path(path)
    if format not in ("extxyz", *SUFFIXES):
        raise CryinGANError(f"format={format} is not one of extxyz, cif, poscar")
    if len(crystals) == 0:
        raise CryinGANError(f"{path}: there are no structures to write")
    if format == "extxyz":
        with replace_file(path) as file:
            file.writelines(extxyz_frames(crystals))
        return
    with replace_folder(path, rf"\d+\{SUFFIXES[format]}") as folder:
        width = max(4, len(str(len(crystals))))
        for number, atoms in enumerate(crystals.to_ase(), start=1):
            (folder / f"{number:0{width}d}{SUFFIXES[format]}").write_bytes(one_structure(atoms, format))


def extxyz_frames(crystals: Crystals) -> Iterator[bytes]:
    """Extended XYZ text of every structure."""
    lattice = " ".join(repr(float(value)) for value in crystals.cell.ravel())
    header = f'{len(crystals.species)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"\n'
    rows = "".join(f"{symbol:<2s} %16.8f %16.8f %16.8f\n" for symbol in crystals.species)
    for fractional in crystals.fractional:
        yield (header + rows % tuple((fractional @ crystals.cell).ravel())).encode()


def one_structure(atoms: Atoms, format: str) -> bytes:
    """CIF or POSCAR text of a structure."""
    from ase.io.cif import write_cif
    from ase.io.vasp import write_vasp

    if format == "cif":
        binary = io.BytesIO()
        write_cif(binary, [atoms], wrap=False)
        return binary.getvalue()
    text = io.StringIO()
    write_vasp(text, atoms, direct=True, sort=False)
    return text.getvalue().encode()
