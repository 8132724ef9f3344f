"""Pages of the site that stand outside docs/ (mkdocs.yml), with links that are right on a forge and in the site."""

import re
from collections.abc import Iterator
from os.path import relpath
from pathlib import Path

from griffe import Extension, Object
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


@event_priority(100)  # before plugins that look for files of their kind
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds README.md, and every file of the repository that a page links to or shows.

    Those at the top of the repository have to stand in the navigation, others are found by links.
    """
    root = Path(config.config_file_path).parent
    pages = [root / "README.md", *Path(config.docs_dir).glob("*.md")]
    while pages:
        page = pages.pop()
        for path in (page, *_linked(page)):
            name = _in_site(path, root)
            if path.is_file() and files.get_file_from_path(name) is None:
                level = InclusionLevel.INCLUDED if path.parent == root else InclusionLevel.NOT_IN_NAV
                file = File(name, str(root), config.site_dir, config.use_directory_urls, inclusion=level)
                files.append(file)
                pages += [path] if path.suffix == ".md" else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Links of the repository become links of the site."""
    path = Path(page.file.abs_src_path)
    root = Path(config.config_file_path).parent

    def moved(link: re.Match) -> str:
        target = _in_site((path.parent / link[0]).resolve(), root)
        return relpath(target, Path(page.file.src_uri).parent)

    return LINK.sub(moved, markdown)


class Examples(Extension):
    """Example: of a docstring is what the parser calls Examples:, for a single one, too."""

    def on_object(self, *, obj: Object, **kwargs: object) -> None:  # noqa: ARG002
        """Renames the section."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")


def _linked(page: Path) -> Iterator[Path]:
    """The files that a page links to."""
    for target in LINK.findall(page.read_text()):
        yield (page.parent / target).resolve()


def _in_site(path: Path, root: Path) -> str:
    """Where a file of the repository stands in the site: those of docs/ at the top, others in their folders."""
    return relpath(path, root).removeprefix("docs/")
