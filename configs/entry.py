"""Command lines of train.py, sample.py and evaluate.py: compose the config, run the job, report errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.help import help_text
from configs.schema import SCHEMAS
from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIGS = Path(__file__).parent
ON = {"relax": "run"}  # what GROUP=true stands for


def run(name: str, job: Callable[[Any], Any]) -> None:
    """Compose configs/NAME.yaml with the command line and call `job` with the config.

    A mistake of the user ends in one line on stderr and exit code 1, Ctrl-C in one line and exit code 130.

    Args:
        name: the config and the script.
        job: called with the config, once or, in a sweep (`-m`), once per combination.
    """
    sys.argv[1:] = [for_hydra(argument) for argument in sys.argv[1:]]
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text(name, sys.argv[1:]))
        return
    try:
        _run(name, job)
    except KeyboardInterrupt:
        print(f"{name}.py: stopped", file=sys.stderr)
        sys.exit(130)


def _run(name: str, job: Callable[[Any], Any]) -> None:
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us instead of Hydra's own report
    register(name)
    try:
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)(_reporting(name, job))()
    except (CryinGANError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"{name}.py: {one_line(error)}")


def compose(name: str, *overrides: str) -> DictConfig:
    """The config of `python NAME.py OVERRIDES`, without a process or a command line.

    Args:
        name: train, sample or evaluate.
        overrides: KEY=VALUE each.

    Raises:
        HydraException: an override cannot be used.
    """
    import hydra

    register(name)
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return hydra.compose(name, [for_hydra(override) for override in overrides])


def for_hydra(argument: str) -> str:
    """Translate GROUP=true, GROUP=false and GROUP=null for Hydra, whose groups take names of files only."""
    group, _, value = argument.partition("=")
    if value in ("false", "null") and (CONFIGS / group).is_dir():
        return f"~{group}"
    return f"{group}={ON[group]}" if value == "true" and group in ON else argument


def register(name: str) -> None:
    """Register the schema and the resolvers that configs/NAME.yaml uses.

    `${repository:PATH}` is a path inside the repository, `${stem:PATH}` a file's name without folder and endings.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    ConfigStore.instance().store(name=f"{name}_schema", node=SCHEMAS[name]())
    OmegaConf.register_new_resolver("repository", lambda path: str(CONFIGS.parent / path), replace=True)
    OmegaConf.register_new_resolver("stem", stem, replace=True)


def stem(path: str) -> str:
    """A file's name without folder, ending and the ending of its compression."""
    name = Path(path)
    return (name.with_suffix("") if name.suffix in (".gz", ".bz2", ".xz") else name).stem


def instantiate(node: Any, **arguments: Any) -> Any:
    """Instantiate the `_target_` of plain settings, or every `_target_` in a mapping, from plain values.

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
    """The values of the command line, as text by key; empty where there is no command line."""
    from hydra.core.hydra_config import HydraConfig

    overrides = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    pairs = [override.partition("=") for override in overrides]
    return {key.lstrip("+~"): value for key, _, value in pairs}


def _reporting(name: str, job: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A single run ends at an error of ours; in a sweep Hydra runs the remaining jobs first."""

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
    """An error on one line, with the nearest known key where a key is unknown."""
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
    """Full names of the keys of all scripts and groups, by their last part."""
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
