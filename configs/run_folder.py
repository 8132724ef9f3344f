"""The folder of a run where its `run_dir` is also that of others: jobs of a sweep, files of one name."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from configs.entry import instantiate
from configs.job import given
from configs.schema import plain
from configs.sweeps import UNLIKE_FILES, in_sweep, stem

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIGS = Path(__file__).parent
STEM = "${stem:${data.path}}"
LONGEST_VALUE, LONGEST_SUFFIX = 40, 120
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.+-]+")
NUMBERS = re.compile(r"\[[\d\s.,e+-]*\]")
SWEEP_ID, SWEEP_PARAMETERS = "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH"
"""Set by `wandb agent`: the sweep, and the file with the parameters that it has chosen for this run."""


def use_own_folder(config: DictConfig) -> None:
    """Extend `run_dir` by what differs between the jobs of a sweep and is not in it, and by the file where needed."""
    from omegaconf import OmegaConf

    template = str(OmegaConf.to_container(config, resolve=False)["run_dir"]).rstrip("/")
    differing = _differing(config, template)
    _name_runs_of_loggers(config, differing)
    suffix = _suffix(template, differing, config)
    if sweep := os.environ.get(SWEEP_ID):
        suffix += "" if SWEEP_ID in template else f"_sweep-{_safe(sweep)}"
    suffix = _shortened(suffix)
    config["run_dir"] = template + suffix
    if STEM in template and (other := _file_of_the_run(config)):
        taken = config["run_dir"]
        config["run_dir"] = template.replace(STEM, f"{stem(config['data']['path'])}-{other}") + suffix
        print(f"{taken} is of another file of this name; this run goes to {config['run_dir']}", flush=True)


def _name_runs_of_loggers(config: DictConfig, differing: Mapping[str, Any]) -> None:
    """Extend name and group of runs, where the command line does not give them; seeds share a group."""
    from omegaconf import OmegaConf

    for name, logger in config["logger"].items():
        values = OmegaConf.to_container(logger, resolve=False)
        for key, left_out in (("name", ()), ("group", ("seed",))):
            template = values.get(key)
            if isinstance(template, str) and "${" in template and f"logger.{name}.{key}" not in given():
                others = {one: value for one, value in differing.items() if one not in left_out}
                logger[key] = template + _shortened(_suffix(template, others, config))


def _suffix(template: str, differing: Mapping[str, Any], config: DictConfig) -> str:
    """What a name lacks of that in which jobs differ."""
    missing = {key: value for key, value in differing.items() if not _named(template, key, value, config)}
    return "".join(f"_{part}" for part in _parts(missing))


def _shortened(suffix: str) -> str:
    return suffix if len(suffix) <= LONGEST_SUFFIX else f"{suffix[:LONGEST_SUFFIX]}-{_digest(suffix)}"


def _differing(config: DictConfig, template: str) -> dict[str, Any]:
    """Keys that jobs of a sweep set differently, and their values; that of a group is the name of its option."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    if not HydraConfig.initialized():
        return {}
    hydra = HydraConfig.get()
    said = dict(override.lstrip("+~").partition("=")[::2] for override in hydra.overrides.task)
    constant = set(hydra.job.config.override_dirname.exclude_keys)
    keys = said.keys() - constant if in_sweep() else _chosen_by_agent() & said.keys()
    if UNLIKE_FILES in constant and STEM in template:
        keys -= {"data.path"}
    values = {key: OmegaConf.select(config, key) for key in keys if not (CONFIGS / key).is_dir()}
    values = {key: OmegaConf.to_object(v) if OmegaConf.is_config(v) else v for key, v in values.items()}
    return {key: values.get(key, said[key]) for key in sorted(keys - {"run_dir"})}


def _chosen_by_agent() -> set[str]:
    path = Path(os.environ.get(SWEEP_PARAMETERS, ""))
    return set(yaml.safe_load(path.read_text()) or {}) - {"wandb_version"} if path.is_file() else set()


def _named(template: str, key: str, value: Any, config: DictConfig) -> bool:
    """Whether `run_dir` has the value of a key in it."""
    if key == "data":
        return STEM in template and stem(config["data"]["path"]).startswith(str(value))
    return re.search(rf"(?<!stem:)\$\{{{re.escape(key)}\}}", template) is not None


def _parts(differing: dict[str, Any]) -> Iterable[str]:
    """A part of a folder's name for every key: its last part, where that is of one key alone, and the value."""
    last = [key.rpartition(".")[2] for key in differing]
    for (key, value), name in zip(differing.items(), last, strict=True):
        short = name if last.count(name) == 1 else key
        between = "" if isinstance(value, int | float) and not isinstance(value, bool) else "-"
        yield f"{_safe(short)}{between}{_safe(value)}"


def _safe(value: Any) -> str:
    """A value as part of a name; two values never give the same."""
    text = str(value)
    name = NOT_IN_NAMES.sub("-", text).strip("-")
    if len(name) > LONGEST_VALUE or (name != text and not NUMBERS.fullmatch(text)):
        return f"{name[-LONGEST_VALUE:].strip('-')}-{_digest(text)}"
    return name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _file_of_the_run(config: DictConfig) -> str | None:
    """Part of the hash of the structures, where the run in `run_dir` is of a file of another place and content."""
    from cryingan.storage.checkpoint import read_checkpoint
    from cryingan.training.checkpoints import newest_checkpoint, run_settings

    folder = Path(config["run_dir"])
    checkpoint = newest_checkpoint(folder / "checkpoints")
    settings = run_settings(checkpoint).get("data", {}) if checkpoint else {}
    path = Path(config["data"]["path"])
    if "path" not in settings or not path.exists() or Path(settings["path"]).resolve() == path.resolve():
        return None
    data = instantiate(plain(config)["data"])
    saved = read_checkpoint(checkpoint).get(type(data).__qualname__, {})
    known = getattr(data, "sha256", None)
    return known[:8] if known and saved.get("hash") not in (None, known) else None
