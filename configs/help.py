"""The text of `--help`: every key as it is typed, with its default and the comment that explains it in configs/."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from configs.hints import CLASS_ALONE

CONFIGS = Path(__file__).parent
GROUP = re.compile(r"  - (?:optional )?(\w+): (\S+) +# (.+)")
EXTENDED = re.compile(r"^  - (?:/(\w+)@_here_: )?(\w+)(?: +#.*)?$", re.MULTILINE)
OVERRIDE = re.compile(r"^  - override /(\w+): (\w+)", re.MULTILINE)
KEY = re.compile(r"( *)(\w+):(?: +([^#\s].*?))?(?: +# (.*))?")
GLOBAL = "# @package _global_"
INTERNAL = ("_target_", "_convert_", "kind")
WIDTH = 44  # of KEY=VALUE before its meaning


def help_text(name: str, arguments: Iterable[str] = ()) -> str:
    """What a script does, and its keys; those of a group are of the option in `arguments`, or else of the default.

    Args:
        name: train, sample or evaluate.
        arguments: the command line.
    """
    chosen = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    path = CONFIGS / f"{name}.yaml"
    parts = [*heading(path), "", *(line(*entry) for entry in keys(path))]
    groups = GROUP.findall(path.read_text())
    taken = {group: chosen.get(group, default) for group, default, _ in groups}
    for group, _, meaning in groups:
        option = taken[group]
        if option.startswith("${"):  # ${model}: the option of that group
            option = taken[option.strip("${}")]
        options = sorted(file.stem for file in (CONFIGS / group).glob("[!_]*.yaml"))
        parts += ["", line(group, option, meaning), f"  options: {', '.join(options)}"]
        file = CONFIGS / group / f"{option}.yaml"
        if (name, group) == CLASS_ALONE:
            continue
        if file.exists():
            parts += [f"  {text}" for text in heading(file)]
            start = "" if GLOBAL in file.read_text() else f"{group}."
            parts += [f"  {line(start + key, value, words)}" for key, value, words in keys(file)]
        else:
            parts.append(f"  keys of an option: python {name}.py {group}={options[0]} --help")
    parts += ["", f"Several runs, one for each combination: python {name}.py -m KEY=A,B KEY=C,D"]
    return "\n".join(parts)


def line(key: str, value: str | None, meaning: str) -> str:
    """A key as it is typed and its meaning; a key that only holds others has no value."""
    return f"{key if value is None else f'{key}={value}':<{WIDTH}}  # {meaning}"


def heading(path: Path) -> list[str]:
    """The comment that a file begins with."""
    lines = path.read_text().splitlines()
    end = next((number for number, text in enumerate(lines) if not text.startswith("#")), len(lines))
    return [text.removeprefix("# ") for text in lines[:end] if text != GLOBAL]


def keys(path: Path) -> list[tuple[str, str | None, str]]:
    """Dotted names, values and meanings of the keys of a file and of those that it extends."""
    found: dict[str, tuple[str | None, str]] = {}
    for file in [*_extended(path), path]:
        text = file.read_text()
        found |= {group: (option, "see above") for group, option in OVERRIDE.findall(text)}
        found |= {key: (value, meaning) for key, value, meaning in _own(text)}
    return [(key, *entry) for key, entry in found.items()]


def _extended(path: Path) -> Iterator[Path]:
    """The files that a group's file extends, the first one of all first."""
    for group, option in EXTENDED.findall(path.read_text()) if path.parent != CONFIGS else ():
        if option != "_self_":
            file = (CONFIGS / group if group else path.parent) / f"{option}.yaml"
            yield from (*_extended(file), file)


def _own(text: str) -> Iterator[tuple[str, str | None, str]]:
    """Dotted name, value and meaning of every key that a text explains."""
    above: list[str] = []
    for match in filter(None, map(KEY.fullmatch, text.splitlines())):
        indent, key, value, meaning = match.groups()
        above[len(indent) // 2 :] = [key]
        if meaning and key not in INTERNAL:
            yield ".".join(above), value, meaning
