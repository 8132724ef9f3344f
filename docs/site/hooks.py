"""Pages of the site that stand outside docs/ (mkdocs.yml), with links that are right on a forge and in the site."""

import re
from collections.abc import Iterator
from os.path import relpath
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from notebooks import as_markdown

LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds README.md, the notebooks, and every file of the repository that a page links to or shows.

    Pages at the top of the repository have to stand in the navigation; cards and the like are found by links.
    """
    root = Path(config.config_file_path).parent
    pages = [root / "README.md", *Path(config.docs_dir).glob("*.md"), *root.glob("examples/*.ipynb")]
    while pages:
        page = pages.pop()
        for path in (page, *_linked(page)):
            name = _in_site(path, root)
            if path.is_file() and files.get_file_from_path(name) is None:
                files.append(_file(path, name, root, config))
                pages += [path] if name.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Links of the repository become links of the site."""
    root = Path(config.config_file_path).parent
    name = page.file.src_uri
    folder = Path(config.docs_dir if page.file.src_dir == config.docs_dir else root) / Path(name).parent

    def moved(link: re.Match) -> str:
        return relpath(_in_site((folder / link[0]).resolve(), root), Path(name).parent)

    return LINK.sub(moved, markdown)


def _file(path: Path, name: str, root: Path, config: MkDocsConfig) -> File:
    """What becomes of a file outside docs/."""
    if path.suffix == ".ipynb":
        return File.generated(config, name, content=as_markdown(path))
    level = InclusionLevel.UNDEFINED if path.parent == root else InclusionLevel.NOT_IN_NAV
    return File(name, str(root), config.site_dir, config.use_directory_urls, inclusion=level)


def _linked(page: Path) -> Iterator[Path]:
    """The files that a page or a notebook links to."""
    text = as_markdown(page) if page.suffix == ".ipynb" else page.read_text()
    for target in LINK.findall(text):
        yield (page.parent / target).resolve()


def _in_site(path: Path, root: Path) -> str:
    """Where a file of the repository stands in the site: those of docs/ at the top, others in their folders."""
    return re.sub(r"\.ipynb$", ".md", relpath(path, root).removeprefix("docs/"))
