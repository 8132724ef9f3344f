"""Examples in docstrings run; what docstrings, comments and docs name exists: modules, contents, pages, sections."""

import doctest
import re
from importlib import import_module

import pytest

import cryingan
from tests.support.paths import ROOT

ROOMS = ("cryingan", "callbacks", "configs", "data", "benchmarks")
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
SOURCES = [*PAGES, *ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]
NAME = rf"`((?:{'|'.join(ROOMS)})(?:\.\w+)+)`"


MODULES = [path for path in SOURCES if path.suffix == ".py" and ROOT / "cryingan" in path.parents]
EXAMPLES = sorted(str(path.relative_to(ROOT)) for path in MODULES if ">>> " in path.read_text())


@pytest.mark.parametrize("path", EXAMPLES)
def test_examples_run(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    module = import_module(path.removesuffix(".py").replace("/", "."))
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(module, optionflags=flags, extraglobs={"cryingan": cryingan}).failed == 0


def matches(pattern: str) -> set[tuple[str, str]]:
    """File and what the group of a pattern matches in it; what is matched may run over the end of a line."""
    texts = {str(path.relative_to(ROOT)): re.sub(r"\s*\n\s*(# )?", " ", path.read_text()) for path in SOURCES}
    return {(path, match) for path, text in texts.items() for match in re.findall(pattern, text)}


def resolves(name: str) -> bool:
    target = import_module(name.split(".")[0])
    for part in name.split(".")[1:]:
        try:
            target = getattr(target, part) if hasattr(target, part) else import_module(f"{target.__name__}.{part}")
        except (AttributeError, ModuleNotFoundError):
            return False
    return True


def test_names_resolve():
    # In pages `data.validation` and the like are keys of the configuration.
    names = {(path, name) for path, name in matches(NAME) if path.endswith(".py") or name.startswith("cryingan.")}
    assert sorted((path, name) for path, name in names if not resolves(name)) == []


def test_pages_and_their_sections_exist():
    assert sorted((path, page) for path, page in matches(r"(docs/\w+\.md)") if not (ROOT / page).is_file()) == []
    titles = re.findall(r"^## (.+)$", (ROOT / "docs/dismai_bench.md").read_text(), re.MULTILINE)
    cited = matches(r'dismai_bench\.md, "([^"]+)"')
    assert len(cited) > 10
    assert sorted((path, title) for path, title in cited if title not in titles) == []
