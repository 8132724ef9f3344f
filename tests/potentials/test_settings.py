"""Settings of potentials: types of the config group, importable in no time."""

import subprocess
import sys

from tests.support.paths import ROOT


def test_they_import_nothing_heavy():
    code = "import sys, cryingan.potentials.settings; print({'torch', 'ase', 'matgl', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "set()\n"
