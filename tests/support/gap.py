"""A tiny GAP of silicon, fitted on the spot."""

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from ase import Atoms
from ase.build import bulk
from ase.io import write

from cryingan.potentials.potential import load_potential
from tests.support.potentials import rattled

PAIRS = "distance_2b cutoff=4.0 n_sparse=8 covariance_type=ard_se delta=1.0 theta_uniform=1.0 sparse_method=uniform"
SOAP = "soap cutoff=4.0 n_max=3 l_max=2 atom_sigma=0.5 zeta=4 delta=0.3 n_sparse=20 sparse_method=cur_points"
COVARIANCE = "covariance_type=dot_product cutoff_transition_width=1.0"


def labelled(n: int) -> list[Atoms]:
    """Rattled diamond of eight atoms with energies and forces of Tersoff's potential."""
    frames = [rattled(bulk("Si", a=5.3 + 0.05 * (seed % 6), cubic=True), seed, 0.15) for seed in range(n)]
    for frame, energy, forces in zip(frames, *load_potential("tersoff").evaluate(frames), strict=True):
        frame.info["energy"], frame.arrays["force"] = energy, forces
    return frames


@cache
def tiny_gap(separate: bool = False) -> Path:
    """The XML file of a GAP, in a folder of its own.

    Args:
        separate: whether the sparse points are in files beside it.
    """
    folder = Path(tempfile.mkdtemp())
    write(folder / "train.xyz", labelled(10), format="extxyz")
    words = ["at_file=train.xyz", f"gap={{{PAIRS} : {SOAP} {COVARIANCE}}}", "default_sigma={0.002 0.1 0 0}", "e0=-4.0"]
    words += [
        "energy_parameter_name=energy",
        "force_parameter_name=force",
        "do_copy_at_file=F",
        "rnd_seed=1",
        "gp_file=tiny.xml",
    ]
    words += [f"sparse_separate_file={'T' if separate else 'F'}"]
    program = Path(sys.executable).with_name("gap_fit")
    subprocess.run([program, *words], cwd=folder, check=True, capture_output=True)
    return folder / "tiny.xml"
