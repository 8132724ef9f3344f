"""The notebooks of examples/ as they are committed; `make test` runs them, with tiny settings."""

import json
import re

import pytest

from tests.support.paths import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
LARGEST = 500_000  # bytes
OF_A_MACHINE = re.compile(r"/(?:home|root|tmp|usr|opt|work|mnt|Users)/|site-packages|Traceback|Error:")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def texts(output):
    """What an output shows in words."""
    return "".join(output.get("text", [])) + "".join(
        "".join(content) for kind, content in output.get("data", {}).items() if kind.startswith("text/")
    )


def test_there_are_notebooks_of_the_way_from_data_to_scores():
    assert [path.stem for path in NOTEBOOKS] == ["own_data", "own_interface", "relax_and_score"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_its_outputs_and_is_light(path):
    assert path.stat().st_size < LARGEST
    code = cells(path, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "run from top to bottom"
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert [found for output in outputs for found in OF_A_MACHINE.findall(texts(output))] == []
    assert any("image/png" in output.get("data", {}) for output in outputs), "it shows a picture"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_links_of_a_notebook_lead_somewhere(path):
    links = [link for cell in cells(path, "markdown") for link in LINK.findall("".join(cell["source"]))]
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []
