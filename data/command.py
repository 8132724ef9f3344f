"""The command line of what builds data sets and potentials: KEY=VALUE arguments, read into a dataclass."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cryingan.errors import CryinGANError


def run_command(job: Callable[[Any], Any], schema: type) -> None:
    """Read the command line, do the job and print what comes back.

    What the user got wrong ends in one line on stderr and exit code 1, Ctrl-C in one line and 130.

    Args:
        job: called with the settings.
        schema: their dataclass.
    """
    try:
        print(job(read_settings(sys.argv[1:], schema)))
    except CryinGANError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)


def read_settings(arguments: Sequence[str], schema: type) -> Any:
    """Settings from KEY=VALUE arguments.

    Raises:
        CryinGANError: one is unknown, missing or of the wrong type.
    """
    keys = ", ".join(field.name for field in fields(schema))
    for argument in arguments:
        if "=" not in argument:
            raise CryinGANError(f"'{argument}' is not key=value; the keys are {keys}")
    try:
        given = OmegaConf.from_cli(list(arguments))
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), given))
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise CryinGANError(f"{str(error).splitlines()[0]}; the keys are {keys}") from error
