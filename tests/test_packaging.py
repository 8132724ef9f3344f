"""What `pip install` gives: the library alone, with what it needs, and all of its way from files to scores."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.paths import ROOT

DATA = ROOT / "data/interface/li2o_licl/li2o_licl.extxyz.gz"
CHECKPOINT = ROOT / "pretrained/li2o_licl/checkpoints"
PIP = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check"]
FROM_FILES_TO_SCORES = """
import json, sys
import cryingan
from cryingan.relaxation.settings import RelaxSettings

training = cryingan.read_structures(sys.argv[1])[:6]
samples = cryingan.load_model(sys.argv[2]).sample(3, seed=1)
repaired, log = cryingan.repair(samples)
potential = cryingan.load_potential("pair", radii={"Li": 0.8, "O": 1.1, "Cl": 1.5})
how = RelaxSettings(processes=2, max_steps=2, progress=False)
results = cryingan.relax(repaired[log.accepted], potential, how)
settings = {"species": ["Li"], "processes": 1, "progress": False}
scores = cryingan.evaluate(results.crystals, training, "interface", **settings)
print(json.dumps({
    "home": cryingan.__file__,
    "samples": samples.fractional.shape,
    "accepted": log.accepted.tolist(),
    "reasons": results.reason.tolist(),
    "scores": list(scores.values),
}))
"""


def run(*command: str | Path, **settings) -> str:
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **settings)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the project, built without network from a copy, so that nothing is written into the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.gz", "*.xz", "*.pt", "*.png")
    for name in ("cryingan", "callbacks", "configs", "data", "benchmarks"):
        shutil.copytree(ROOT / name, folder / "clone" / name, ignore=ignored)
    for path in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(path, folder / "clone")
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "clone")
    [path] = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_library_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"cryingan"}
    files = (
        path for path in (ROOT / "cryingan").rglob("*") if path.suffix in (".py", ".csv") or path.parent.name == "page"
    )
    assert {name for name in names if ".dist-info/" not in name} == {
        path.relative_to(ROOT).as_posix() for path in files
    }


def test_the_installed_library_goes_from_files_to_scores(wheel, tmp_path):
    library = tmp_path / "library"
    run(*PIP, "install", "--no-deps", "--no-index", "--target", library, wheel)
    shutil.copy(DATA, tmp_path)
    [checkpoint] = CHECKPOINT.glob("*.ckpt")
    elsewhere = {**os.environ, "PYTHONPATH": str(library)}
    said = run(
        sys.executable, "-c", FROM_FILES_TO_SCORES, tmp_path / DATA.name, checkpoint, cwd=tmp_path, env=elsewhere
    )
    found = json.loads(said.splitlines()[-1])
    assert Path(found["home"]) == library / "cryingan" / "__init__.py"
    assert found["samples"] == [3, 77, 3]
    assert found["accepted"] == [True] * 3
    assert found["reasons"] == ["max_steps"] * 3
    assert found["scores"]


def needed_imports() -> dict[str, Path]:
    """Top-level modules that the library imports, with a file of each, but those that are optional.

    These are in a `try`, or in functions of the file about packages of potentials, whose callers hear what to install.
    """
    needed = {}
    for path in (ROOT / "cryingan").rglob("*.py"):
        tree = ast.parse(path.read_text())
        kinds = (ast.Try, ast.FunctionDef) if path.name == "packages.py" else ast.Try
        optional = {one for node in ast.walk(tree) if isinstance(node, kinds) for one in ast.walk(node)}
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            needed |= {name.split(".")[0]: path for name in names if node not in optional}
    return {name: path for name, path in needed.items() if name not in {*sys.stdlib_module_names, "cryingan"}}


def test_what_the_library_imports_is_installed_with_it():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    installed = {re.match(r"[\w-]+", line)[0] for line in setup["options"]["install_requires"].split()}
    distributions = packages_distributions()
    for module, path in needed_imports().items():
        assert installed & set(distributions[module]), f"{path} imports {module}"
