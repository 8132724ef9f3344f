"""The documentation as a site: it builds, asks nothing of other machines, and describes every public name."""

import json
import re
import shutil

import pytest

import cryingan
from tests.support.paths import ROOT

for package in ("mkdocs", "material", "mkdocstrings"):
    pytest.importorskip(package, reason="pip install -e .[docs]")

FETCHED = re.compile(r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]*""")
LINKED = re.compile(r"<link\b[^>]*//[^>]*>")
IN_STYLE = re.compile(r"""@import[^;]*|url\(["']?(?:https?:)?//[^)]*""")


def build(config_file, site_dir):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    config = load_config(str(config_file), site_dir=str(site_dir))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    return site_dir


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return build(ROOT / "mkdocs.yml", tmp_path_factory.mktemp("site"))


def test_no_page_asks_other_machines(site):
    pages = {page.relative_to(site): page.read_text() for page in site.rglob("*.html")}
    assert len(pages) > 30
    assert [(page, tag) for page, text in pages.items() for tag in FETCHED.findall(text) + LINKED.findall(text)] == []
    styles = [(page.name, found) for page in site.rglob("*.css") for found in IN_STYLE.findall(page.read_text())]
    assert styles == []


def test_commands_are_code(site):
    """In a list of Markdown they need eight spaces; with fewer a forge shows code and the site running text."""
    pages = {page.relative_to(site): page.read_text() for page in site.rglob("*.html")}
    lost = [
        (page, found) for page, text in pages.items() for found in re.findall(r"<p>(?:python|make|pip) [^<]*", text)
    ]
    assert lost == []


def test_cards_of_data_sets_and_what_they_show_are_there(site):
    for name in ("index.html", "data/interface/li2o_licl/index.html", "data/interface/li2o_licl/structures.png"):
        assert (site / name).is_file()
    assert (
        'href="../../models.html#what-they-reach-on-li2o_licl"'
        in (site / "pretrained/li2o_licl_flow/index.html").read_text()
    )


def test_the_reference_has_every_public_name(site):
    described = set(re.findall(r'id="(cryingan\.[\w.]+)"', (site / "api.html").read_text()))
    assert {f"cryingan.{home}.{name}" for name, home in cryingan._HOME.items()} - described == set()


@pytest.fixture
def small(tmp_path):
    """A project whose only page is docs/page.md, with all else as the site has it."""
    shutil.copytree(ROOT / "docs/site", tmp_path / "docs/site")
    (tmp_path / "mkdocs.yml").write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\nnav: [README.md, page.md]\n")
    (tmp_path / "README.md").write_text("# Home\n")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gone](gone.md)", "'gone.md'"),
        ("[gone](page.md#gone)", "'page.md#gone'"),
        ("[gone](../data/gone.md)", "'data/gone.md'"),
        ("::: cryingan.gone", "cryingan.gone"),
    ],
)
def test_what_is_not_there_fails(small, caplog, text, message):
    from mkdocs.exceptions import Abort

    (small / "docs/page.md").write_text(f"# Page\n\n{text}\n")
    with pytest.raises(Abort):
        build(small / "mkdocs.yml", small / "site")
    assert message in caplog.text


def test_notebooks_are_pages_with_their_outputs(small):
    printed = {"output_type": "stream", "name": "stdout", "text": ["\x1b[31mforty\x1b[0m", "-two\n"]}
    picture = {"output_type": "display_data", "data": {"image/png": "AB\nCD", "text/plain": "<Figure>"}}
    table = {"output_type": "execute_result", "data": {"text/html": ["<table><tr><td>1</td></tr></table>"]}}
    cells = [
        {"cell_type": "markdown", "source": ["# Mine\n", "\n", "[page](../docs/page.md)"]},
        {"cell_type": "code", "source": ["answer()"], "outputs": [printed, picture, table]},
    ]
    (small / "examples").mkdir()
    (small / "examples/mine.ipynb").write_text(json.dumps({"cells": cells}))
    (small / "docs/page.md").write_text("# Page\n\n[mine](../examples/mine.ipynb)\n")
    with (small / "mkdocs.yml").open("a") as file:
        file.write("not_in_nav: examples/\n")
    build(small / "mkdocs.yml", small / "site")
    assert 'href="examples/mine.html"' in (small / "site/page.html").read_text()
    page = (small / "site/examples/mine.html").read_text()
    for shown in (
        'href="../page.html"',
        "forty-two",
        "data:image/png;base64,ABCD",
        "<td>1</td>",
        "examples/mine.ipynb",
    ):
        assert shown in page
