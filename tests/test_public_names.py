"""The public names: imported when they are used, and each with an example that runs."""

import doctest
import subprocess
import sys

import pytest

import cryingan
from tests.support.paths import ROOT

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
def test_every_public_name_has_an_example_that_runs(name, monkeypatch):
    public = getattr(cryingan, name)
    module = sys.modules[public.__module__]
    tests = [test for test in doctest.DocTestFinder(recurse=False).find(public, name, module=module) if test.examples]
    assert tests, f"cryingan.{name} has no example"
    monkeypatch.chdir(ROOT)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    printed = []
    for test in tests:
        test.globs["cryingan"] = cryingan
        runner.run(test, out=printed.append)
    assert not runner.failures, "".join(printed)
