"""Imports between the rooms of the library go down only, and none of it knows the scripts around it."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FLOORS = (
    ("report",),
    ("evaluation",),
    ("samples",),
    ("metrics",),
    ("energies",),
    ("relaxation", "training"),
    ("potentials", "models", "plots"),
    ("structures",),
    ("storage", "geometry", "linear_algebra", "quick_mkl"),
    ("devices", "progress", "randomness"),
    ("errors",),
)
FLOOR = {room: -number for number, rooms in enumerate(FLOORS) for room in rooms}
AROUND = {"callbacks", "configs", "data", "benchmarks", "tests", "train", "sample", "evaluate"}
COMMAND_LINE = {"hydra", "omegaconf", "wandb", "argparse"}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Modules, and names in them, that a file imports."""
    tree = ast.parse(path.read_text())
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    return modules


@pytest.mark.parametrize("path", python_files("cryingan"), ids=module_of)
def test_imports_go_down(path):
    own = path.relative_to(ROOT / "cryingan").parts[0].removesuffix(".py")
    for module in imported(path):
        first, *rest = module.split(".")
        assert first not in AROUND | COMMAND_LINE, f"the library imports {module}"
        if first == "cryingan" and rest and rest[0] in FLOOR and rest[0] != own and own in FLOOR:
            assert FLOOR[rest[0]] < FLOOR[own], f"{own} imports {module}"


def test_every_room_has_a_floor():
    rooms = {path.name.removesuffix(".py") for path in (ROOT / "cryingan").iterdir() if path.name[0] not in "_."}
    assert rooms == set(FLOOR)


def test_no_imports_in_a_circle():
    modules = {module_of(path): path for path in python_files("cryingan", "callbacks", "configs", "data")}
    graph = {name: imported(path) & set(modules) - {name} for name, path in modules.items()}
    for name, needs in graph.items():  # `from package import module` needs the module, not the package
        graph[name] = {need for need in needs if not name.startswith(f"{need}.")}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle
    assert set(order) == set(modules)


def test_no_test_module_imports_another():
    for path in python_files("tests"):
        names = [part for module in imported(path) for part in module.split(".") if module.startswith("tests.")]
        assert not [name for name in names if name.startswith("test_") and "support" not in names], path
