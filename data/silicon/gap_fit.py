"""The program gap_fit of quippy: labelled structures in, an XML file out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ase.io import write

from cryingan.errors import CryinGANError
from data.silicon.gap_frames import Frame

LABELLED = "frames.xyz"
CUTOFF = 4.6  # Angstrom
ISOLATED = -5.0  # eV, the energy of an atom from which the GAP counts
PAIRS = f"distance_2b cutoff={CUTOFF} n_sparse=20 covariance_type=ard_se delta=2.0 theta_uniform=1.0"
SOAP = f"soap cutoff={CUTOFF} cutoff_transition_width=1.0 n_max=5 l_max=4 atom_sigma=0.5 zeta=4 delta=0.4"
SIGMAS = {  # of energies, eV/atom, and forces, eV/Angstrom: how closely labels are followed
    "liquid": (0.010, 0.20),
    "quench": (0.002, 0.10),
    "minimum": (0.001, 0.05),
    "random": (0.020, 0.30),
    "diamond": (0.001, 0.05),
}


def fit(frames: Sequence[Frame], points: int, work: Path, name: str) -> Path:
    """Fit a GAP of pairs and of the smooth overlap of atomic positions (SOAP).

    Args:
        frames: structures with `energy` (eV) in their `info` and `force` (eV/Angstrom) in their `arrays`.
        points: sparse points of the SOAP.
        work: folder in which the program works.
        name: of the XML file.

    Raises:
        CryinGANError: the program is missing or fails.
    """
    program = Path(sys.executable).with_name("gap_fit")
    for frame in frames:
        frame.atoms.info["config_type"] = frame.kind
    write(work / LABELLED, [frame.atoms for frame in frames], format="extxyz")
    sigmas = ":".join(f"{kind}:{energy}:{force}:0:0" for kind, (energy, force) in SIGMAS.items())
    soap = f"{SOAP} n_sparse={points} sparse_method=cur_points covariance_type=dot_product"
    words = [f"at_file={LABELLED}", f"gap={{{PAIRS} sparse_method=uniform : {soap}}}", f"e0={ISOLATED}"]
    words += ["default_sigma={0.002 0.1 0 0}", f"config_type_sigma={{{sigmas}}}", "rnd_seed=1"]
    words += ["energy_parameter_name=energy", "force_parameter_name=force", "virial_parameter_name=none"]
    words += ["do_copy_at_file=F", "sparse_separate_file=F", f"gp_file={name}"]
    try:
        ended = subprocess.run([program, *words], cwd=work, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CryinGANError(f"{program} cannot be started ({error.strerror}): pip install -e .[gap]") from error
    if ended.returncode or not (work / name).is_file():
        said = (ended.stderr or ended.stdout).strip().splitlines()
        raise CryinGANError(f"gap_fit ended with {ended.returncode}: {said[-1] if said else 'it said nothing'}")
    return work / name
