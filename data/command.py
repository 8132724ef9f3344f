"""Command lines of the builders of data sets and potentials: KEY=VALUE arguments for a dataclass."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from textwrap import indent, wrap
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from cryingan.errors import CryinGANError
from cryingan.storage.paths import home_expanded

WIDTH = 100


def run_command(job: Callable[[Any], Any], schema: type) -> None:
    """Read the command line, run the job and print its result; with --help, explain the keys.

    A mistake of the user ends in one line on stderr and exit code 1, Ctrl-C in one line and 130.

    Args:
        job: called with the settings; the docstring of its module explains the command.
        schema: the dataclass of the settings; its docstring explains the keys under `Attributes:`.
    """
    module, arguments = sys.modules[job.__module__], sys.argv[1:]
    name = module.__spec__.name  # `python -m` runs it as __main__
    if {"--help", "-h"} & set(arguments):
        print(help_text(name, module.__doc__ or "", schema))
        return
    try:
        print(job(read_settings(arguments, schema)))
    except CryinGANError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"{name}: stopped; the same command resumes", file=sys.stderr)
        sys.exit(130)


def read_settings(arguments: Sequence[str], schema: type) -> Any:
    """Settings from KEY=VALUE arguments; text and paths are taken as they are, with `~` expanded.

    Raises:
        CryinGANError: one is unknown, missing or of the wrong type.
    """
    keys = [field.name for field in fields(schema)]
    for argument in arguments:
        if "=" not in argument:
            raise CryinGANError(f"'{argument}' is not key=value; the keys are {', '.join(keys)}")
    texts = {field.name for field in fields(schema) if str(field.type).startswith("str")}
    try:
        given = OmegaConf.from_dotlist([a for a in arguments if not _is_text(a, texts)])
        for argument in arguments:
            if _is_text(argument, texts):
                key, _, value = argument.partition("=")
                OmegaConf.update(given, key, home_expanded(value).replace("${", r"\${"))
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), given))
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise CryinGANError(f"{_reason(error, keys)}; the keys are {', '.join(keys)}") from error


def _is_text(argument: str, texts: Collection[str]) -> bool:
    """Whether a value is taken as it is: those of `texts`, and paths inside a key."""
    key, _, value = argument.partition("=")
    return value not in ("", "null") and (key in texts or key.endswith(".path"))


def _reason(error: Exception, keys: Sequence[str]) -> str:
    """The key and what is wrong with it; for an unknown key, the nearest known one."""
    key = getattr(error, "full_key", None)
    if isinstance(error, MissingMandatoryValue):
        return f"{key}=... is missing"
    if isinstance(error, ConfigKeyError):
        near = get_close_matches(str(key), keys, 1)
        return f"unknown key {key}" + (f", did you mean {near[0]}?" if near else "")
    reason = str(error).splitlines()[0]
    return f"{key}: {reason}" if key else reason


def help_text(name: str, description: str, schema: type) -> str:
    """Describe a command and its keys, with type, default and meaning.

    Args:
        name: the module that `python -m` runs.
        description: its docstring.
        schema: the dataclass of its settings.
    """
    parts = [f"python -m {name} KEY=VALUE ...    (inside a key: KEY.NAME=VALUE)", "", description.strip(), ""]
    meanings = dict(attributes(schema))
    for field in fields(schema):
        words = wrap(meanings[field.name], WIDTH - 4)
        parts += [f"{field.name}={_default(field)}    ({field.type})", indent("\n".join(words), "    ")]
    return "\n".join(parts)


def attributes(schema: type) -> Iterator[tuple[str, str]]:
    """Names and meanings under `Attributes:` in the docstring of a class."""
    _, _, section = (inspect.getdoc(schema) or "").partition("Attributes:\n")
    for name, meaning in re.findall(r"^    (\w+): (.+(?:\n {8}.*)*)", section, re.MULTILINE):
        yield name, " ".join(meaning.split())


def _default(field: Field) -> str:
    """The default as one would type it; REQUIRED where there is none."""
    value = field.default if field.default_factory is MISSING else field.default_factory()
    if value is MISSING:
        return "REQUIRED"
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=float("inf"))
    return text.removesuffix("...\n").strip()
