"""What would be right in the place of a mistake on the command line, in one line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cryingan.errors import CryinGANError
from cryingan.storage.paths import is_there

CONFIGS = Path(__file__).parent
ON = {"relax": "run"}  # what GROUP=true stands for
KEY = re.compile(r"[+~]{0,2}[A-Za-z_][\w.@/:-]*=|~[A-Za-z_][\w.@/]*$")
DASHES = "-\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}"
FIRST = {"train": "data.path", "sample": "checkpoint", "evaluate": "structures"}
"""What a path without a key most likely is."""
OWN_SET = {"train": "data.path", "sample": "training", "evaluate": "reference"}
RATES = "model.generator_learning_rate, model.coordinate_learning_rate or model.distance_learning_rate"
SHORTEST = 3
"""Letters by which a key is known, where no other comes nearer."""
CLASS_ALONE = ("sample", "model")
"""A script and a group of which it takes the class alone, not its keys."""
OTHER_WORDS = {
    "train": {
        "lr": RATES,
        "learning_rate": RATES,
        "epochs": "trainer.max_epochs",
        "n_epochs": "trainer.max_epochs",
        "device": "trainer.accelerator",
        "gpus": "trainer.devices",
        "file": "data.path",
        "dataset": "data.path",
        "structures": "data.path",
        "output": "run_dir",
        "output_dir": "run_dir",
        "checkpoint": "resume",
        "project": "logger.wandb.project",
        "k": "model.n_neighbors",
        "optimizer": "relax.optimizer",
        "wandb": "logger=wandb or logger=csv",
    },
    "sample": {
        "ckpt": "checkpoint",
        "run_dir": "checkpoint",
        "n_samples": "n",
        "num_samples": "n",
        "samples": "n",
        "output_dir": "output",
        "data.path": "training",
    },
    "evaluate": {
        "samples": "structures",
        "generated": "structures",
        "training": "reference",
        "data.path": "reference",
        "output_dir": "output",
        "metric": "benchmark",
    },
}
"""Words that users of other programs type, and our keys."""


def require_key(name: str, arguments: Sequence[str], place: int) -> None:
    """Refuse an argument without a key, or with dashes before it."""
    argument = arguments[place]
    if argument.startswith(tuple(DASHES)):
        bare = argument.lstrip(DASHES).replace("-", "_")
        following = arguments[place + 1] if place + 1 < len(arguments) and "=" not in bare else ""
        right = _offered(name, bare if "=" in bare else f"{bare}={following}")
        raise CryinGANError(f"{argument}: keys have no dashes; {right}")
    if KEY.match(argument) and not (is_there(argument) and "/" in argument.partition("=")[0]):
        return
    if (joined := _joined(arguments, place)) is not None:
        raise CryinGANError(f"{argument!r} is cut off by a blank; {_offered(name, joined)}")
    if is_there(argument) or "/" in argument or name == "sample":
        raise CryinGANError(f"{argument!r} is not KEY=VALUE; write {_typed(f'{FIRST[name]}={argument}')}")
    before = arguments[place - 1] if place else ""
    if KEY.match(before):
        quoted = _typed(f"{before} {argument}")
        raise CryinGANError(f"{argument!r} is not KEY=VALUE; if it belongs to the value before it, write {quoted}")
    raise CryinGANError(f"{argument!r} is not KEY=VALUE; python {name}.py --help lists the keys")


def _offered(name: str, argument: str) -> str:
    """What to write instead: KEY=VALUE where the script has the key, by its last part too, or else where to look."""
    key, _, value = argument.partition("=")
    if (CONFIGS / key.lstrip("+~").partition(".")[0]).is_dir():
        return f"write {_typed(argument)}"
    known = known_keys(name)
    if key.lstrip("+~") not in known.values() and key not in known:
        return f"{name}.py has no key {key}.{suggestion(name, key)}"
    return f"write {_typed(f'{known.get(key, key)}={value}')}"


def _joined(arguments: Sequence[str], place: int) -> str | None:
    """KEY=VALUE that the shell cut at blanks; None where nothing speaks for it."""
    word, following = arguments[place], "".join(arguments[place + 1 : place + 2])
    if following.startswith("="):
        return word + "".join(arguments[place + 1 : place + (3 if following == "=" else 2)])
    begin = next((i for i in range(place - 1, -1, -1) if KEY.match(arguments[i])), None)
    if begin is None:
        return None
    end = next((i for i in range(place, len(arguments)) if KEY.match(arguments[i])), len(arguments))
    value, joined = arguments[begin].partition("=")[2], " ".join(arguments[begin:end])
    if not value:
        return "".join(arguments[begin:end])
    cut_list = value.startswith(("[", "{")) and value[-1] not in "]}"
    return joined if cut_list or (not is_there(value) and is_there(joined.partition("=")[2])) else None


def require_readable(argument: str, translated: str, sweep: bool) -> None:
    """Refuse a value that Hydra's grammar does not take, and several values outside a sweep.

    Args:
        argument: KEY=VALUE as it was typed.
        translated: the same as Hydra gets it.
        sweep: whether several values are allowed.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, _, value = argument.partition("=")
    try:
        several = OverridesParser.create().parse_override(translated).is_sweep_override()
    except HydraException as error:
        if value.startswith(("[", "{")) and value[-1] not in "]}":
            raise CryinGANError(f"{argument}: the bracket is not closed; a list with blanks needs quotes") from error
        raise CryinGANError(
            f"{argument}: a value with such characters needs quotes: {_typed(_quoted(key, value))}"
        ) from error
    if several and not sweep:
        if re.fullmatch(r"-?\d+,\d+", value):
            number = f"; a number has a decimal point: {key}={value.replace(',', '.')}"
            raise CryinGANError(f"{argument}: several values need -m{number}")
        ways = f"several values need -m, a list brackets: {_typed(f'{key}=[{value}]')}, a text quotes: "
        raise CryinGANError(f"{argument}: {ways}{_typed(_quoted(key, value))}")


def require_option(name: str, argument: str) -> None:
    """Refuse an option of a group that is not there, for the script of a name."""
    key, _, value = argument.lstrip("+").partition("=")
    options = _options(key)
    if not options or not re.fullmatch(r"[^\s,()\[\]{}$'\"]+", value) or (CONFIGS / key / f"{value}.yaml").exists():
        return
    if key == "data" and ("." in value or "/" in value or is_there(value)):
        raise CryinGANError(f"{argument}: your own structures are {_typed(f'{OWN_SET[name]}={value}')}")
    if (name, key) == CLASS_ALONE and ("/" in value or is_there(value)):
        raise CryinGANError(f"{argument}: a run or a checkpoint is {_typed(f'checkpoint={value}')}")
    if (name, key) == CLASS_ALONE and "." in value:
        raise CryinGANError(f"{argument}: a class is {_typed(f'model._target_={value}')}")
    near = get_close_matches(value, options, 1)
    raise CryinGANError(f"{argument}: use {' | '.join(options)}" + (f"; did you mean {near[0]}?" if near else ""))


def require_group(name: str, overrides: Sequence[str]) -> None:
    """Refuse keys of a group that is off until GROUP=true.

    Args:
        name: train, sample or evaluate.
        overrides: KEY=VALUE as Hydra gets them.
    """
    import yaml

    defaults = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["defaults"]
    for group in ON:
        chosen = [one for one in overrides if one.lstrip("~+").partition("=")[0] == group]
        off = chosen[-1].startswith("~") if chosen else {group: None} in defaults
        wrong = next((one for one in overrides if one.lstrip("+").startswith(f"{group}.")), None)
        if off and wrong:
            raise CryinGANError(f"{wrong}: {group} is off; add {group}={' | '.join(_options(group))}")


def _options(group: str) -> list[str]:
    """What the options of a group are typed as; none where there is no such group."""
    files = (CONFIGS / group).glob("[!_]*.yaml") if group.isidentifier() else []
    return ["true" if name == ON.get(group) else name for name in sorted(file.stem for file in files)]


def suggestion(name: str, unknown: str) -> str:
    """The key of a script that was meant by an unknown one, as a sentence, or else what lists them.

    Args:
        name: train, sample or evaluate.
        unknown: the last part of the key, or the whole key.
    """
    known, others = known_keys(name), OTHER_WORDS[name]
    group, _, last = unknown.rpartition(".")
    if last == "kind" and (options := _options(group)):
        return f" Choose it by {group}={' | '.join(options)}"
    if found := others.get(unknown) or others.get(last):
        return f" Did you mean {found}?"
    if known.get(last) == unknown:  # of another option of its group
        group = unknown.partition(".")[0]
        return f" Another {group} has it; python {name}.py --help lists the keys of the one that is set."
    begun = [key for key in known if len(last) >= SHORTEST and key.startswith(last)]
    near = get_close_matches(last, known) or begun
    return f" Did you mean {known[near[0]]}?" if near else f" python {name}.py --help lists the keys."


def known_keys(name: str) -> dict[str, str]:
    """Full names of the keys of a script and of its groups, by their last part."""
    import yaml

    keys = {}
    own = CONFIGS / f"{name}.yaml"
    groups = [key for entry in yaml.safe_load(own.read_text())["defaults"] if isinstance(entry, dict) for key in entry]
    files = [
        path
        for group in groups
        if group not in ("experiment", "hydra") and (name, group) != CLASS_ALONE
        for path in (CONFIGS / group).glob("*.yaml")
    ]
    for path in [*sorted(files, reverse=True), own]:  # a script's own keys replace those of groups that end the same
        for key in _names(yaml.safe_load(path.read_text()) or {}):
            keys[key.rpartition(".")[2]] = key if path == own else f"{path.parent.name}.{key}"
    return keys


def _names(node: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in node.items():
        if key != "defaults":
            yield f"{above}{key}"
            if isinstance(value, dict):
                yield from _names(value, f"{above}{key}.")


def _quoted(key: str, value: str) -> str:
    """KEY=VALUE with the quotes that make a text of any value in Hydra's grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return f"{key}={QuotedString(value, Quote.double).with_quotes()}"


def _typed(argument: str) -> str:
    """An argument as it is typed in a shell."""
    return shlex.quote(argument)
