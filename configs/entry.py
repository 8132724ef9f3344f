"""From a command line to a composed config: what train.py, sample.py and evaluate.py share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cryingan.errors import CryinGANError

CONFIGS = Path(__file__).parent
ON = {"relax": "run"}  # what GROUP=true stands for


def run(name: str, schema: Callable[[], Any], job: Callable[[Any], Any]) -> None:
    """Compose configs/NAME.yaml with the command line and call `job` with the config.

    What the user got wrong ends in one line on stderr and exit code 1, Ctrl-C in one line and 130.

    Args:
        name: name of the config and of the script.
        schema: gives the typed keys, stored for the config's defaults list as NAME_schema.
        job: called with the config, once or, in a sweep (`-m`), once per combination.
    """
    sys.argv[1:] = [for_hydra(argument) for argument in sys.argv[1:]]
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text(name, sys.argv[1:]))
        return
    try:
        _run(name, schema, job)
    except KeyboardInterrupt:
        print(f"{name}.py: stopped", file=sys.stderr)
        sys.exit(130)


def _run(name: str, schema: Callable[[], Any], job: Callable[[Any], Any]) -> None:
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us instead of Hydra's own report
    register(name, schema())
    try:
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)(_reporting(name, job))()
    except (CryinGANError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"{name}.py: {one_line(error)}")


def for_hydra(argument: str) -> str:
    """GROUP=true, GROUP=false and GROUP=null in Hydra's words, which takes only names of files for a group."""
    group, _, value = argument.partition("=")
    if value in ("false", "null") and (CONFIGS / group).is_dir():
        return f"~{group}"
    return f"{group}={ON[group]}" if value == "true" and group in ON else argument


def register(name: str, schema: Any) -> None:
    """Make the schema and the resolvers known that configs/NAME.yaml uses.

    `${repository:PATH}` is a path inside the repository, `${stem:PATH}` a file's name without folder and endings.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    ConfigStore.instance().store(name=f"{name}_schema", node=schema)
    OmegaConf.register_new_resolver("repository", lambda path: str(CONFIGS.parent / path), replace=True)
    OmegaConf.register_new_resolver("stem", stem, replace=True)


def stem(path: str) -> str:
    """A file's name without folder, ending and the ending of its compression."""
    name = Path(path)
    return (name.with_suffix("") if name.suffix in (".gz", ".bz2", ".xz") else name).stem


def instantiate(node: Any, **arguments: Any) -> Any:
    """Make what the `_target_` of plain settings names, or all of a mapping of them, from plain values.

    Raises:
        CryinGANError: the target cannot be imported, or does not take these keys.
    """
    import hydra.utils
    from hydra.errors import InstantiationException

    try:
        return hydra.utils.instantiate(node, _convert_="all", **arguments)
    except InstantiationException as error:
        cause = error.__cause__
        if cause is None or isinstance(cause, ImportError | TypeError | InstantiationException):
            raise CryinGANError(" ".join(str(error).split())) from error
        raise cause from None


def given() -> dict[str, str]:
    """What the command line says, as text by key; empty where there is none."""
    from hydra.core.hydra_config import HydraConfig

    overrides = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    pairs = [override.partition("=") for override in overrides]
    return {key.lstrip("+~"): value for key, _, value in pairs}


def _reporting(name: str, job: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """In a single run an error of ours ends at once; in a sweep Hydra goes on with the other jobs first."""

    def task(config: Any) -> Any:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        try:
            return job(config)
        except CryinGANError as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                job_name = ",".join(HydraConfig.get().overrides.task)
                print(f"{name}.py: {job_name}: {error}", file=sys.stderr, flush=True)
                raise
            sys.exit(f"{name}.py: {error}")

    return task


def one_line(error: BaseException) -> str:
    """What went wrong, on one line, with the nearest known key where a key is unknown."""
    if isinstance(error, CryinGANError):
        return str(error)
    messages = [str(error)] + [str(cause) for cause in _causes(error)]
    lines = [line.strip() for message in messages for line in message.splitlines()]
    noise = ("full_key:", "object_type=", "reference_type=", "To append to your config", "Key '")
    kept = dict.fromkeys(line for line in lines if line and not line.startswith(noise))
    return " ".join(kept) + _suggestion(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    while (error := error.__cause__) is not None:
        yield error


def _suggestion(error: BaseException) -> str:
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    missing = [e for e in (error, *_causes(error)) if isinstance(e, ConfigAttributeError | ConfigKeyError)]
    known = known_keys()
    near = get_close_matches(str(missing[-1].key), known) if missing else []
    return f" Did you mean {known[near[0]]}?" if near else ""


def known_keys() -> dict[str, str]:
    """Whole names of the keys of the scripts and their groups by the last part."""
    import yaml

    keys = {}
    # A script's own keys come last and replace those of groups that end the same.
    for path in sorted(sorted(CONFIGS.glob("**/*.yaml"), reverse=True), key=lambda path: path.parent == CONFIGS):
        group = path.parent.relative_to(CONFIGS).as_posix()
        if group not in ("experiment", "hydra", "sweep"):
            for name in _names(yaml.safe_load(path.read_text()) or {}):
                keys[name.rpartition(".")[2]] = name if group == "." else f"{group}.{name}"
    return keys


def _names(node: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in node.items():
        if key != "defaults":
            yield f"{above}{key}"
            if isinstance(value, dict):
                yield from _names(value, f"{above}{key}.")


def help_text(name: str, arguments: Iterable[str] = ()) -> str:
    """Every key of a script with its meaning, from the comments in configs/; of groups, what `arguments` choose."""
    import yaml

    choices = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    top = (CONFIGS / f"{name}.yaml").read_text()
    parts = [f"python {name}.py KEY=VALUE ...    every key, its default and its meaning", "", top.rstrip()]
    for entry in yaml.safe_load(top).get("defaults", []):
        if not isinstance(entry, dict) or "hydra" in entry:
            continue
        (group, chosen), *_ = (entry | {key: value for key, value in choices.items() if key in entry}).items()
        options = sorted(path.stem for path in (CONFIGS / group).glob("[!_]*.yaml"))
        parts += ["", f"{group}={'|'.join(options)}    (now {chosen}; keys are {group}.KEY)"]
        if chosen:
            text = (CONFIGS / group / f"{chosen}.yaml").read_text().rstrip()
            parts += ["    " + line for line in text.splitlines()]
        else:
            parts += [f"    each has keys of its own: python {name}.py {group}={options[0]} --help"]
    parts += ["", f"Several runs, one for each combination: python {name}.py -m KEY=A,B KEY=C,D"]
    return "\n".join(parts)
