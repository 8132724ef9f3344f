"""What the command line of a sweep says of its jobs."""

from __future__ import annotations

import shutil
from glob import has_magic
from pathlib import Path
from typing import Any

from cryingan.errors import CryinGANError

SUBMITIT_FOLDER = "${hydra.sweep.dir}/.submitit"
"""Not submitit_launcher's own, whose %j becomes a folder of that name."""
UNLIKE_FILES = "data.path by its stem"
"""Stands among the constant keys of a sweep over files whose names without endings differ."""


def stem(path: str) -> str:
    """A file's name without folder, ending and the ending of its compression; of a pattern, the name of the folder."""
    name = Path(path)
    if name.is_dir():
        return name.resolve().name
    if has_magic(path) and not name.exists():
        return next((part for part in reversed(name.parts[:-1]) if not has_magic(part)), "structures")
    return (name.with_suffix("") if name.suffix in (".gz", ".bz2", ".xz") else name).stem


def mark_constants(arguments: list[str]) -> list[str]:
    """Tell the jobs of a sweep which keys are the same in all of them, through Hydra's own setting for folder names.

    Args:
        arguments: the command line; returned as it is unless it is that of a sweep.

    Raises:
        CryinGANError: the jobs are for Slurm, which is not there.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if {"hydra/launcher=slurm", "hydra/launcher=submitit_slurm"} & set(arguments) and shutil.which("srun") is None:
        raise CryinGANError("hydra/launcher=slurm: srun is not there; start the sweep where Slurm is")
    if any(argument.startswith("hydra/launcher=submitit_") for argument in arguments):
        arguments = [f"hydra.launcher.submitit_folder={SUBMITIT_FOLDER}", *arguments]
    flags = [argument for argument in arguments if argument in ("-m", "--multirun")]
    if not flags and "hydra.mode=MULTIRUN" not in arguments:
        return arguments
    arguments = [*flags, *(argument for argument in arguments if argument not in flags)]  # Hydra needs them outside
    try:
        overrides = OverridesParser.create().parse_overrides([a for a in arguments if not a.startswith("-")])
    except HydraException:  # reported by Hydra itself
        return arguments
    keys = [o.key_or_group for o in overrides if not o.is_sweep_override()]
    keys += [UNLIKE_FILES] if any(map(_unlike_files, overrides)) else []
    named = ",".join(f"'{key}'" for key in dict.fromkeys(keys))
    return [*arguments, f"hydra.job.config.override_dirname.exclude_keys=[{named}]"]


def _unlike_files(override: Any) -> bool:
    """Whether a sweep is over files that the usual folder tells apart."""
    if override.key_or_group != "data.path" or not override.is_choice_sweep():
        return False
    stems = [stem(str(path).strip("'\"")) for path in override.sweep_string_iterator()]
    return len(set(stems)) == len(stems)


def in_sweep() -> bool:
    """Whether this run is a job of `-m`."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def searches() -> bool:
    """Whether a sweeper chooses later jobs by what earlier ones return, as Hydra's own does not."""
    from hydra.core.hydra_config import HydraConfig

    return in_sweep() and not HydraConfig.get().sweeper["_target_"].endswith("BasicSweeper")
