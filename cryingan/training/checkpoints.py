"""Checkpoints of runs: written whole or not at all, found, compared with the current settings and loaded."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import ROOT, make_folder, replace_file
from cryingan.storage.checkpoint import read_checkpoint

if TYPE_CHECKING:
    from lightning import LightningModule

    from cryingan.models.base import GenerativeModel

log = logging.getLogger(__name__)

KEYS = {"shift": "data.shift", "distance_weight": "lambda"}  # of hyper-parameters that users know by another name
MOST_NAMED = 6  # settings in a message
BARE = ("pooling", "seed", "cell", "species", "trainer.precision")  # not of the group model


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its target and rename it.

    Lightning's own writer goes through the folder for temporary files; where that is another filesystem than the run
    folder, a kill during the final copy destroys the checkpoint that was there before.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`; on any failure the file that was there before stays.

        Raises:
            CryinGANError: the disk is full or the folder cannot be written; names `path`.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        make_folder(Path(path).parent)
        with replace_file(path) as file:
            file.write(buffer.getbuffer())

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = True) -> dict:
        """Read a checkpoint as `read_checkpoint` does, whatever `weights_only` says."""
        return read_checkpoint(path)


def newest_checkpoint(folder: str | Path) -> Path | None:
    """Return the furthest readable checkpoint in `folder`: last.ckpt, else the last by name; None if there is none.

    Modification times do not count, because copying a folder changes them.
    """
    candidates = sorted(Path(folder).glob("*.ckpt"), key=lambda path: (path.name == "last.ckpt", path.name))
    for path in reversed(candidates):
        try:
            read_checkpoint(path)
        except CryinGANError:
            continue
        return path
    return None


def best_checkpoint(path: str | Path) -> Path:
    """Return `path` if it is a file; of a run folder best.ckpt if it exists, else the furthest readable checkpoint.

    Raises:
        CryinGANError: the folder holds none.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    best = path / "checkpoints" / "best.ckpt"
    found = best if best.exists() else newest_checkpoint(best.parent)
    if found is None:
        raise CryinGANError(f"{path} holds no checkpoints: give a checkpoint, or the folder of a run{_runs_in(path)}")
    return found


def _runs_in(folder: Path) -> str:
    """The runs below a folder, for messages; empty where there are none."""
    found = [path.parents[1] for depth in ("*", "*/*") for path in folder.glob(f"{depth}/checkpoints/last.ckpt")]
    runs = sorted(map(str, found))
    return f": {', '.join(runs[:5])}{', ...' if len(runs) > 5 else ''}" if runs else ""


def starting_point(resume: str, run_dir: Path) -> Path | None:
    """Return the checkpoint that a run resumes from, or None for a new run.

    Args:
        resume: auto (the newest checkpoint of the run folder), never, or the path of a checkpoint.
        run_dir: the run folder.

    Raises:
        CryinGANError: the folder holds a run although resume=never, or one that is ahead of the checkpoint.
    """
    if resume not in ("auto", "never") and not Path(resume).is_file():
        raise CryinGANError(f"resume={resume}: it is auto, never or the path of a checkpoint that is there")
    found = newest_checkpoint(run_dir / "checkpoints")
    if resume == "auto" or found is None:
        return Path(resume) if resume not in ("auto", "never") else found
    if resume == "never":
        raise CryinGANError(f"{run_dir} already holds a run and resume=never; choose another run_dir or resume=auto")
    if read_checkpoint(found).get("global_step", 0) > read_checkpoint(resume).get("global_step", 0):
        raise CryinGANError(f"{run_dir} already goes further than {resume}; choose another run_dir")
    return Path(resume)


def run_settings(checkpoint: str | Path) -> dict[str, Any]:
    """Return the config of the run that a checkpoint belongs to; empty without config.yaml.

    A relative path of structures that does not exist here is taken relative to the repository, as in the runs that
    come with it.
    """
    import yaml

    path = Path(checkpoint).resolve().parents[1] / "config.yaml"
    settings = (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
    data = settings.get("data", {})
    if "path" in data and not Path(data["path"]).exists() and (ROOT / data["path"]).exists():
        data["path"] = str(ROOT / data["path"])
    return settings


def other_ways(checkpoint: str | Path, resume: str) -> str:
    """What to do instead where a run cannot resume from a checkpoint; `resume` is the setting."""
    if resume == "auto":
        return f"choose another run_dir, where resume=auto starts anew and init={checkpoint} from these weights"
    return f"init={checkpoint} in the place of resume starts a new run from these weights, in a run_dir of its own"


def saved_model(content: dict[str, Any]) -> str | None:
    """The name of the model whose checkpoint this is; None for a model of a user's own."""
    return content.get("cryingan_model", "cryingan" if "cryingan_format" in content else None)


def require_same_model(path: str | Path, model: LightningModule) -> None:
    """Refuse to resume from the checkpoint of a model of another name.

    Raises:
        CryinGANError: the names differ.
    """
    saved, current = saved_model(read_checkpoint(path)), getattr(model, "kind", None)
    if saved != current:
        names = [name or "one of your own" for name in (saved, current)]
        raise CryinGANError(f"{path} is of another model, {names[0]}, not {names[1]}; choose another run_dir")


def require_same_settings(
    path: str | Path, current: dict[str, Any], precision: str, resume: str = "auto", free: Sequence[str] = ()
) -> None:
    """Refuse to resume from a checkpoint whose model settings or precision differ from the current ones.

    Args:
        path: the checkpoint; the precision is that in the config of its run, where there is one. Settings that it does
            not have, as its version did not, had what is their default now.
        current: settings of the model that is to resume, as its `hparams`.
        precision: trainer.precision of the run that is to resume.
        resume: the setting of the run that is to resume.
        free: settings that may differ, as training does not depend on them.

    Raises:
        CryinGANError: names the settings that differ, the first six of them, with both values.
    """
    content = read_checkpoint(path)
    saved = content.get("hyper_parameters")
    if not isinstance(saved, dict):
        raise CryinGANError(f"{path} is not a checkpoint of train.py, or its model saves no hyper-parameters")
    trainer = run_settings(path).get("trainer", {})
    saved = {**_defaults(saved_model(content)), **saved, "trainer.precision": trainer.get("precision", precision)}
    current = {**current, "trainer.precision": precision}
    differing = [
        f"{_key(name)} is {_short(current.get(name))} here and {_short(saved.get(name))} in the checkpoint"
        for name in sorted((saved.keys() | current.keys()) - set(free))
        if _plain(saved.get(name)) != _plain(current.get(name))
    ]
    if differing:
        more = f"; and {len(differing) - MOST_NAMED} more" if len(differing) > MOST_NAMED else ""
        named = "; ".join(differing[:MOST_NAMED]) + more
        raise CryinGANError(f"{path} belongs to other settings: {named}; {other_ways(path, resume)}")


def keep_former_sampler(path: str | Path, model: GenerativeModel) -> None:
    """Have a run that resumes make samples as it began, where its version had no such setting.

    Args:
        path: the checkpoint.
        model: the model that is to resume; its hyper-parameters change.
    """
    saved, former = read_checkpoint(path)["hyper_parameters"], _defaults(getattr(model, "kind", None))
    for name in getattr(model, "sampler_keys", ()):
        if name not in saved and name in former and model.hparams[name] != former[name]:
            print(f"model.{name} stays {former[name]}, as this run began without it", flush=True)
            model.hparams[name] = former[name]


def finished_epochs(path: str | Path) -> int:
    """How many epochs had ended when a checkpoint of a run was written."""
    return int(read_checkpoint(path).get("epoch", -1)) + 1


def require_epochs_left(path: str | Path, max_epochs: int) -> None:
    """Refuse a checkpoint that is of a longer training.

    Raises:
        CryinGANError: more than `max_epochs` epochs had ended when it was written.
    """
    if (done := finished_epochs(path)) > max_epochs:
        raise CryinGANError(
            f"{path} is of {done} epochs, more than trainer.max_epochs={max_epochs}; raise it or choose another run_dir"
        )


def _defaults(kind: str | None) -> dict[str, Any]:
    """The default settings of a model; none of a user's own."""
    from cryingan.models.registry import MODELS

    return asdict(MODELS[kind].settings()) if kind in MODELS else {}


def _key(name: str) -> str:
    """The key of a hyper-parameter on the command line."""
    return KEYS.get(name, name if name in BARE else f"model.{name}")


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def load_model(path: str | Path, model: type[GenerativeModel] | None = None) -> GenerativeModel:
    """Load the model of a checkpoint or a run folder, on the CPU.

    Args:
        path: a checkpoint of train.py, or the folder of a run: then as `best_checkpoint` chooses.
        model: the class, where it is one of your own: a file of somebody else must not name code to run.

    Raises:
        CryinGANError: the file is no checkpoint of such a model, is damaged, or is one of a newer version.

    Example:
        >>> model = cryingan.load_model("pretrained/li2o_licl")
        >>> model.sample(2, seed=1).fractional.shape
        (2, 77, 3)
    """
    from cryingan.models.base import CHECKPOINT_FORMAT

    path = best_checkpoint(path)
    content = read_checkpoint(path)
    if "cryingan_format" not in content:
        raise CryinGANError(f"{path} is not a checkpoint of a model of this project")
    if content["cryingan_format"] > CHECKPOINT_FORMAT:
        raise CryinGANError(f"{path} was written by a newer cryingan; this one reads format {CHECKPOINT_FORMAT}")
    saved_class = _class_of(path, saved_model(content), model)
    try:
        model = saved_class(**content["hyper_parameters"])
        model.on_load_checkpoint(content)
        model.load_state_dict(content["state_dict"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CryinGANError(f"{path} does not fit its own settings: {str(error).splitlines()[-1].strip()}") from error
    if model.anchor is not None and not model.anchor.fitted:
        log.warning("%s does not hold where its training structures stand: samples stand anywhere in the cell", path)
    return model


def _class_of(path: Path, kind: str, own: type[GenerativeModel] | None) -> type[GenerativeModel]:
    """The class of a model of some kind: one of the project, or the one that the user names."""
    from cryingan.models.base import GenerativeModel
    from cryingan.models.registry import MODELS, model_class

    if own is None:
        if kind not in MODELS:
            raise CryinGANError(
                f"{path} is of {kind!r}, a model of your own: name its class, by model=NAME or "
                "model._target_=MODULE.CLASS of sample.py, in Python by load_model(PATH, CLASS)"
            )
        return model_class(kind)
    if not issubclass(own, GenerativeModel):
        raise CryinGANError(f"{own.__module__}.{own.__qualname__} does not extend cryingan.models.base.GenerativeModel")
    if (named := getattr(own, "kind", None)) != kind:
        raise CryinGANError(f"{path} is of the model {kind!r}, not of {own.__qualname__}, which is {named!r}")
    return own
