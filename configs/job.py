"""What Hydra knows of the job that runs: its command line and the options of groups."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def command_line(name: str) -> str:
    """What runs this job alone, as one types it; in a sweep that of the job."""
    hydra = _settings()
    overrides = hydra.overrides.task if hydra is not None else []
    plain = [re.sub(r"^([^=]+)='([\w./-]*)'$", r"\1=\2", override) for override in overrides]  # quotes for Hydra only
    return shlex.join(["python", f"{name}.py", *plain])


def given(overrides: Sequence[str] | None = None) -> dict[str, str]:
    """The values of the command line, as text by key; empty where there is no command line.

    Args:
        overrides: the arguments; None: those of the job that runs.
    """
    if overrides is None:
        hydra = _settings()
        overrides = hydra.overrides.task if hydra is not None else ()
    pairs = [override.partition("=") for override in overrides]
    return {key.lstrip("+~"): value for key, _, value in pairs}


def model_option() -> str | None:
    """The option of the group `model` of the job that runs; None without a command line."""
    hydra = _settings()
    return None if hydra is None else model_of(hydra.runtime.choices, hydra.overrides.task)


def model_of(choices: Mapping[str, Any], overrides: Sequence[str]) -> str | None:
    """The chosen option of the group `model`; None where another class is given."""
    return None if "model._target_" in given(overrides) else choices.get("model")


def _settings() -> Any:
    from hydra.core.hydra_config import HydraConfig

    return HydraConfig.get() if HydraConfig.initialized() else None
