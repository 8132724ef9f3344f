"""Start a run from the weights of another one: fine-tuning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning import LightningModule
from torch import Tensor

from cryingan.errors import CryinGANError
from cryingan.models.anchor import Anchor
from cryingan.models.epoch_means import EpochMeans
from cryingan.models.linear.components import Components
from cryingan.models.unet.scaling import Scaling
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.storage.hashes import file_hash
from cryingan.training.checkpoints import best_checkpoint, saved_model

INIT = "init"
"""Key of checkpoints: the setting, and the hash of the file, whose weights the run started from."""
DISTANCES = "discriminators.distances."
"""A model with lambda 0 has no such discriminator: it is new, or left out, where lambda changes."""
NO_WEIGHTS = (EpochMeans, Anchor, Components, Scaling)
"""Modules that hold sums, or what follows from the training structures: a new run finds its own."""
FITTED = "fitted"
"""A buffer that says whether it did."""
AVERAGED = "averaged."
"""A model with ema 0 has no such averages: they begin with the weights, or are left out, where ema changes."""

SHAPING = (
    *("widths", "channels", "latent_dim", "outputs", "n_neighbors", "features", "convolutions", "gaussians"),
    *("hidden", "layers", "frequencies", "cell_term", "cell_head", "rows"),
    *("latent", "triplets", "basis", "sees_level", "width", "multiples", "blocks", "attention", "heads"),
    *("cascade", "halve_first"),
)
"""Ends of settings that the shapes of weights depend on; others differ between runs whose weights fit, too."""


def load_initial_weights(model: LightningModule, init: str) -> dict[str, str]:
    """Copy weights and running statistics of another run into a model; nothing else of that run is used.

    Args:
        model: new, of the same species, atom counts and networks; its cell and all other settings may differ.
        init: a checkpoint or a run folder, whose best.ckpt counts, or else its last.

    Returns:
        What checkpoints keep of the origin: `path` and `sha256`.

    Raises:
        CryinGANError: there is no such checkpoint, or the first difference that does not allow its weights.
    """
    if not Path(init).exists():
        raise CryinGANError(f"init={init} is not there: give a run folder or a checkpoint of train.py")
    path = best_checkpoint(init)
    content = read_checkpoint(path)
    weights, settings = content.get("state_dict"), content.get("hyper_parameters")
    if not isinstance(weights, dict) or not isinstance(settings, dict):
        raise CryinGANError(f"init={path} is not a checkpoint of train.py")
    if (there := saved_model(content)) != (here := getattr(model, "kind", None)) and None not in (there, here):
        raise CryinGANError(
            f"init={path} is of another model, {there}, not {here}: a run starts from weights of its own model only"
        )
    others = (FITTED, *(f"{name}." for name, module in model.named_modules() if isinstance(module, NO_WEIGHTS)))
    weights = {name: value for name, value in weights.items() if not name.startswith(others)}
    own = {name: value for name, value in model.state_dict().items() if not name.startswith(others)}
    if not own:
        raise CryinGANError(
            f"init={init}: {here} has no weights to start from, it is fitted to structures; leave it out"
        )
    _require_fit(path, weights, settings, own, model.hparams)
    model.load_state_dict({name: value for name, value in weights.items() if name in own}, strict=False)
    new = any(name.startswith(DISTANCES) for name in own.keys() - weights.keys())
    model.initialized = not new
    print(f"weights of {path}{'; the distance discriminator is new' if new else ''}", flush=True)
    return {"path": init, "sha256": file_hash(path)}


def _require_fit(
    path: Path,
    weights: dict[str, Tensor],
    settings: dict[str, Any],
    own_weights: dict[str, Tensor],
    own: dict[str, Any],
) -> None:
    """Refuse weights of other atoms or networks, naming the first setting or tensor that differs."""
    there, here = settings.get("species"), own.get("species")
    if there is not None and here is not None and _grouped(there) != _grouped(here):
        raise CryinGANError(f"init={path} is of {_formula(there)}; the data have {_formula(here)}, in this order")
    needed, saved = (
        {name: tuple(value.shape) for name, value in state.items()} for state in _comparable(own_weights, weights)
    )
    differing = sorted(name for name in needed.keys() | saved.keys() if needed.get(name) != saved.get(name))
    if not differing:
        return
    for name in (one for one in settings if one.endswith(SHAPING)):
        if (mine := own.get(name)) is not None and _list(mine) != _list(settings[name]):
            raise CryinGANError(f"init={path} has model.{name}={settings[name]}, here it is {mine}")
    name = differing[0]
    raise CryinGANError(f"init={path} has {name} of shape {saved.get(name)}, here it is {needed.get(name)}")


def _comparable(own: dict[str, Tensor], saved: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The weights of both without the distance discriminator and the averages, where only one has them."""
    parts = (DISTANCES, AVERAGED)
    alone = tuple(part for part in parts if not all(any(n.startswith(part) for n in state) for state in (own, saved)))
    for state in (own, saved):
        yield {name: value for name, value in state.items() if not name.startswith(alone)}


def _list(value: Any) -> Any:
    """Tuples of settings as lists, as checkpoints may hold either."""
    return list(value) if isinstance(value, tuple | list) else value


def _grouped(species: list[str]) -> list[tuple[str, int]]:
    """Species and their counts in the order of the networks' layers."""
    return list(Counter(species).items())


def _formula(species: list[str]) -> str:
    return "".join(f"{symbol}{count}" for symbol, count in _grouped(species))


def require_same_origin(checkpoint: Path, init: str | None, resume: str = "auto") -> dict[str, str] | None:
    """Return the origin of the weights of a run that resumes, whether the file is still there or not.

    Args:
        checkpoint: where the run resumes.
        init: the setting of the run that is to resume.
        resume: likewise.

    Raises:
        CryinGANError: the run started from other weights.
    """
    origin = read_checkpoint(checkpoint).get(INIT)
    there = origin["path"] if origin else None
    if init == there or (init and origin and _same_file(init, origin)):
        return origin
    if init and resume not in ("auto", "never"):
        raise CryinGANError(
            f"init={init} and resume={resume} exclude each other: init starts a new run from the weights alone, resume "
            "continues a run with all that it has; give one of them"
        )
    raise CryinGANError(
        f"{checkpoint} belongs to other settings: init is {init or 'null'} here and {there or 'null'} in the "
        "checkpoint; choose another run_dir"
    )


def _same_file(init: str, origin: dict[str, str]) -> bool:
    """Whether another spelling means the same file."""
    if Path(init).resolve() == Path(origin["path"]).resolve():
        return True
    return Path(init).exists() and file_hash(best_checkpoint(init)) == origin["sha256"]
