"""What users type on a command line, as Hydra takes it: text is taken as it is, and mistakes of form are named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from configs.hints import ON, require_group, require_key, require_option, require_readable
from configs.schema import CHOSEN_BY, SCHEMAS
from cryingan.errors import CryinGANError
from cryingan.storage.paths import home_expanded, is_there

CONFIGS = Path(__file__).parent
PATHS = ("callbacks.relax.cache", "callbacks.summary.run_dir", "logger.wandb.save_dir", "logger.tensorboard.save_dir")
CHOICES = ("kind", "mapping", "width", "device", "accelerator", "strategy", "optimizer", "backend")  # texts, but words
SWEEPS = re.compile(r"(choice|range|interval|glob|shuffle|sort|tag)\(.*\)", re.DOTALL)
NEW_ENTRY = re.compile(r"(benchmark|evaluate)\.oxidation_states\.\w+|potential\.(arguments|radii)\.\w+|sampler\.\w+")
"""Keys of mappings in which users put what they need."""
OWN_CLASS = "model._target_"
"""Names a class without a file of the group."""
FLAG = re.compile(r"-[hrmi]|-sc|--(help|run|multirun|info|resolve|version|hydra-help|shell-completion)")
FLAG_WITH_VALUE = re.compile(r"-[cp]|-c[pnd]|--(cfg|package|config-path|config-name|config-dir|experimental-rerun)")


def translated(name: str, arguments: Sequence[str]) -> list[str]:
    """Arguments of a command line for Hydra.

    Args:
        name: train, sample or evaluate.
        arguments: as the shell gives them.

    Raises:
        CryinGANError: one is no flag, no KEY=VALUE or no option of a group; says what would be right.
    """
    sweep = bool({"-m", "--multirun"} & set(arguments))
    flags = [_is_flag(*pair) for pair in zip(["", *arguments], arguments, strict=False)]
    for place, flag in enumerate(flags):
        if not flag:
            require_key(name, arguments, place)
    result = [a if flag else for_hydra(name, a, sweep) for a, flag in zip(arguments, flags, strict=True)]
    for argument, override, flag in zip(arguments, result, flags, strict=True):
        if not flag:
            require_option(name, override)
            require_readable(argument, override, sweep)
    require_group(name, result)
    return result


def _is_flag(before: str, argument: str) -> bool:
    """Whether an argument is one of Hydra's flags, or the value of the one before."""
    word = argument.partition("=")[0]
    return any(FLAG_WITH_VALUE.fullmatch(text) for text in (before, word)) or bool(FLAG.fullmatch(word))


def for_hydra(name: str, argument: str, sweep: bool = False) -> str:
    """Translate KEY=VALUE for Hydra.

    GROUP=true, GROUP=false and GROUP=null are for groups, whose values are names of files in Hydra. Keys that hold text
    take it as it is: blanks, brackets, quotes and = need no quotes but those of the shell, and `~` is expanded. Only
    `${...}`, quotes around the whole value and, in a sweep, commas keep their meaning, unless a file has such a name.

    Args:
        name: train, sample or evaluate.
        argument: one argument.
        sweep: whether commas separate the values of several jobs.
    """
    key, equals, value = argument.partition("=")
    if value.lower() in ("false", "null", "none") and (CONFIGS / key).is_dir():
        return f"~{key}"
    if key.startswith("potential.arguments."):  # keys of another package, which no file of ours lists
        return f"++{argument}"
    if value.lower() == "true" and key in ON:
        return f"{key}={ON[key]}"
    if equals and key == "compare":
        folders = map(_compared, parts(value.removeprefix("[").removesuffix("]")))
        return f"{key}=[{','.join(folders)}]"
    if equals and (NEW_ENTRY.fullmatch(key) or key == OWN_CLASS):
        return f"++{argument}"
    if not equals or key.lstrip("+") not in text_keys(name) or (sweep and SWEEPS.fullmatch(value)):
        return argument
    texts = parts(value) if sweep and not is_there(value) else [value]
    return f"{key}={','.join(map(literal, texts))}"


def literal(text: str) -> str:
    """Text as a value that Hydra takes as it is; null and what is in quotes already stay.

    Raises:
        CryinGANError: a file has a name that means an interpolation.

    Example:
        >>> literal("T=300K (2)"), literal("null"), literal('"quoted"')
        ("'T=300K (2)'", 'null', '"quoted"')
    """
    from hydra.core.override_parser.types import Quote, QuotedString

    there = is_there(text)
    if text in ("", "null", "???") or (not there and re.fullmatch(r"'.*'|\".*\"", text, re.DOTALL)):
        return text
    if there and "${" in text:
        raise CryinGANError(f"{text}: '${{' in the name of a file means another key; rename the file")
    return QuotedString(text, Quote.single).with_quotes()


def parts(text: str) -> list[str]:
    """The parts of a text between commas, but for those within quotes.

    Example:
        >>> parts("a (1), b:'c, d'")
        ['a (1)', "b:'c, d'"]
    """
    quoted = r"""(?:[^,:'"]*:)?(?:'[^']*'|"[^"]*")"""
    return [part.strip() for part in re.findall(rf"(?:^|,)(\s*{quoted}\s*(?=,|$)|[^,]*)", text)]


def _compared(text: str) -> str:
    """DIR or NAME:DIR as a value that Hydra takes as it is."""
    if (match := re.fullmatch(r"""([^:]*:)?(['"]?)(.*)\2""", text)) and not is_there(text):
        name, _, folder = match.groups()
        text = f"{name or ''}{home_expanded(folder)}"
    return literal(text)


@cache
def text_keys(name: str) -> frozenset[str]:
    """Dotted names of the keys of a script that hold text, such as a path."""
    from omegaconf import OmegaConf, StringNode

    def texts(config: object, above: str = "") -> Iterator[str]:
        for key in config:
            node = config._get_node(key)
            if isinstance(node, StringNode) and key not in CHOICES:
                yield f"{above}{key}"
            elif OmegaConf.is_dict(node) and not node._is_none() and not node._is_missing():
                yield from texts(node, f"{above}{key}.")

    groups = {group: classes.values() for group, classes in CHOSEN_BY.items()}
    of_groups = (
        texts(OmegaConf.structured(settings), f"{group}.") for group, all_ in groups.items() for settings in all_
    )
    return frozenset([*texts(OmegaConf.create(SCHEMAS[name]())), *PATHS, *(key for keys in of_groups for key in keys)])
