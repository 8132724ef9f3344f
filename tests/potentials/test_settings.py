"""Settings of potentials: types of the config group, importable in no time."""

import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from cryingan.potentials.settings import POTENTIALS
from tests.support.paths import ROOT


@pytest.mark.parametrize("kind", POTENTIALS)
def test_the_config_group_has_the_same_keys_and_defaults(kind):
    written = OmegaConf.load(ROOT / f"configs/potential/{kind}.yaml")
    assert OmegaConf.to_container(written) == OmegaConf.to_container(OmegaConf.structured(POTENTIALS[kind]))


def test_they_import_nothing_heavy():
    code = "import sys, cryingan.potentials.settings; print({'torch', 'ase', 'matgl', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "set()\n"
