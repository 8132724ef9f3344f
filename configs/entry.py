"""Command lines of train.py, sample.py and evaluate.py: compose the config, run the job, report errors."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.help import help_text
from configs.hints import suggestion
from configs.overrides import for_hydra, translated
from configs.schema import SCHEMAS
from configs.sweeps import mark_constants, stem
from cryingan import quick_mkl
from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIGS = Path(__file__).parent
PLUGINS = {
    "hydra/launcher/submitit": "pip install -e .[sweep]",
    "hydra/launcher/joblib": "pip install -e .[sweep]",
    "hydra/sweeper/optuna": "pip install hydra-optuna-sweeper",
}
"""What is to be installed where Hydra does not find an option."""


def run(name: str, job: Callable[[Any], Any]) -> None:
    """Compose configs/NAME.yaml with the command line and call `job` with the config.

    A mistake of the user ends in one line on stderr and exit code 1, Ctrl-C in one line and exit code 130. Where what
    reads the output has ended, as `head` does, the script ends without a word and with exit code 141, as by SIGPIPE.

    Args:
        name: the config and the script.
        job: called with the config, once or, in a sweep (`-m`), once per combination.
    """
    quick_mkl.load()
    try:
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(help_text(name, [for_hydra(name, argument) for argument in sys.argv[1:]]))
        else:
            _run(name, job)
        sys.stdout.flush()
    except BrokenPipeError:
        _end_if_unread()
        raise
    except KeyboardInterrupt:
        print(f"{name}.py: stopped", file=sys.stderr)
        sys.exit(130)


def _end_if_unread() -> None:
    """End this process if nobody reads its standard output any more."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        sys.exit(128 + signal.SIGPIPE)


def _run(name: str, job: Callable[[Any], Any]) -> None:
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from configs.sweep_report import forget_jobs, report_sweep

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us instead of Hydra's own report
    register(name)
    try:
        sys.argv[1:] = mark_constants(translated(name, sys.argv[1:]))
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)(_reporting(name, job))()
    except (CryinGANError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"{name}.py: {one_line(error, name)}")
    except KeyboardInterrupt:
        forget_jobs()
        raise
    finally:
        report_sweep()


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
        return hydra.compose(name, [for_hydra(name, override) for override in overrides])


def register(name: str) -> None:
    """Register the schema and the resolvers that configs/NAME.yaml uses.

    `${repository:PATH}` is a path inside the repository, `${stem:PATH}` a file's name without folder and endings.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    ConfigStore.instance().store(name=f"{name}_schema", node=SCHEMAS[name]())
    OmegaConf.register_new_resolver("repository", lambda path: str(CONFIGS.parent / path), replace=True)
    OmegaConf.register_new_resolver("stem", stem, replace=True)


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
        if isinstance(cause, ModuleNotFoundError):
            raise CryinGANError(f"a package is missing: {str(cause).splitlines()[0]}") from error
        if cause is None or isinstance(cause, ImportError | TypeError | InstantiationException):
            raise CryinGANError(" ".join(str(error).split())) from error
        raise cause from None


def _reporting(name: str, job: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A single run ends at an error of ours; in a sweep Hydra runs the remaining jobs first."""

    def task(config: Any) -> Any:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode
        from omegaconf.errors import OmegaConfBaseException

        try:
            return job(config)
        except BrokenPipeError:  # ended here, before Hydra reports an error
            _end_if_unread()
            raise
        except (CryinGANError, OmegaConfBaseException) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                job_name = ",".join(HydraConfig.get().overrides.task)
                print(f"{name}.py: {job_name}: {one_line(error, name)}", file=sys.stderr, flush=True)
                raise
            sys.exit(f"{name}.py: {one_line(error, name)}")

    return task


def one_line(error: BaseException, name: str = "train") -> str:
    """An error on one line, with the nearest known key of a script where a key is unknown."""
    if isinstance(error, CryinGANError):
        return re.sub(r"(?<![\w.])types=\[", "data.types=[", str(error)) if name == "train" else str(error)
    messages = [str(error)] + [str(cause) for cause in _causes(error)]
    lines = [line.strip() for message in messages for line in message.splitlines()]
    noise = ("full_key:", "object_type=", "reference_type=", "To append to your config", "Key '")
    kept = dict.fromkeys(line for line in lines if line and not line.startswith(noise))
    text = " ".join(kept) + _suggestion(error, name)
    if match := re.search(r"override ([^=\s]+)=.* Invalid value '(.*)', expected one of \[(.*)\]", text):
        key, value, choices = match.groups()
        return f"{key}={value}: use {choices.replace(', ', ' | ')}"
    return text + "".join(f"; not installed: {install}" for plugin, install in PLUGINS.items() if plugin in text)


def _causes(error: BaseException) -> Iterator[BaseException]:
    while (error := error.__cause__) is not None:
        yield error


def _suggestion(error: BaseException, name: str) -> str:
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    missing = [e for e in (error, *_causes(error)) if isinstance(e, ConfigAttributeError | ConfigKeyError)]
    return suggestion(name, str(missing[-1].full_key or missing[-1].key)) if missing else ""
