"""Notebooks as pages: text, code and outputs as Markdown, which asks nothing of other machines."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # of a terminal


def as_markdown(notebook: Path) -> str:
    """The page of a notebook that has been run."""
    cells = json.loads(notebook.read_text())["cells"]
    parts = [part for cell in cells for part in _parts(cell)]
    return "\n\n".join([*parts, f"*This page is the notebook `{notebook.parent.name}/{notebook.name}`.*"])


def _parts(cell: Mapping[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        yield _shown(output)


def _shown(output: Mapping[str, Any]) -> str:
    """A picture, a table, or text."""
    data = {kind: "".join(content) for kind, content in output.get("data", {}).items()}
    if "image/png" in data:
        return f"![output](data:image/png;base64,{''.join(data['image/png'].split())})"
    if "text/html" in data:
        return data["text/html"]
    text = data.get("text/plain") or "".join(output.get("text") or output.get("traceback", ""))
    return f"```text\n{COLOURS.sub('', text).strip()}\n```"
