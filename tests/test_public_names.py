"""The public names: imported when they are used, and each with an example."""

import subprocess
import sys

import pytest

import cryingan

NAMES = [name for name in cryingan.__all__ if name != "__version__"]


def test_the_import_is_light_and_every_name_is_listed():
    code = (
        "import sys, cryingan; print(*sorted({'torch', 'numpy', 'lightning', 'ase'} & set(sys.modules)), dir(cryingan))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(sorted(cryingan.__all__))


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'Crystal'"):
        cryingan.Crystal  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example(name):
    """tests/test_docstrings.py runs it."""
    assert ">>> " in getattr(cryingan, name).__doc__
