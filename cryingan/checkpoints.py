"""Checkpoints: written whole or not at all, read without executing anything, and upstream's generators."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor

from cryingan.crystals import Crystals
from cryingan.errors import CryinGANError
from cryingan.networks import Generator
from cryingan.replace import make_folder, replace_file

if TYPE_CHECKING:
    from cryingan.gan import CryinGAN

REPOSITORY = Path(__file__).resolve().parents[1]
# What reading a file that is cut short or overwritten raises, besides what torch says of pickles.
CORRUPT = (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError)
NORM_KEYS = ("weight", "bias", "running_mean", "running_var")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its target and renames it.

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


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; only tensors and plain Python values are accepted, nothing is executed.

    Raises:
        CryinGANError: there is no such file, it is cut short, or it holds anything but plain data.
    """
    try:
        stored = io.BytesIO(Path(path).read_bytes())
    except OSError as error:
        raise CryinGANError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        content = torch.load(stored, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CryinGANError(f"{path} holds more than tensors and plain values and is not opened") from error
    except CORRUPT as error:
        raise CryinGANError(f"{path} is not a whole checkpoint") from error
    if not isinstance(content, dict):
        raise CryinGANError(f"{path} is not a checkpoint: it holds a {type(content).__name__}")
    return content


def newest_checkpoint(folder: str | Path) -> Path | None:
    """The furthest checkpoint in `folder` that can be read: last.ckpt, or else the last by name; None without any.

    Times of files do not count: copying a folder changes them.
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
    """A checkpoint, or that of a run folder: best.ckpt where there is one, else the furthest that can be read.

    Raises:
        CryinGANError: the folder holds none.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    best = path / "checkpoints" / "best.ckpt"
    found = best if best.exists() else newest_checkpoint(best.parent)
    if found is None:
        raise CryinGANError(f"{path} holds no checkpoints: give a checkpoint, or the folder of a run")
    return found


def starting_point(resume: str, run_dir: Path) -> Path | None:
    """The checkpoint that a run goes on from, or None for a new run.

    Args:
        resume: auto (where the run folder stands), never, or the path of a checkpoint.
        run_dir: the run folder.

    Raises:
        CryinGANError: the folder holds a run that must not go on, or goes further than the checkpoint.
    """
    found = newest_checkpoint(run_dir / "checkpoints")
    if resume == "auto" or found is None:
        return Path(resume) if resume not in ("auto", "never") else found
    if resume == "never":
        raise CryinGANError(f"{run_dir} already holds a run and resume=never; choose another run_dir or resume=auto")
    if read_checkpoint(found).get("global_step", 0) > read_checkpoint(resume).get("global_step", 0):
        raise CryinGANError(f"{run_dir} already goes further than {resume}; choose another run_dir")
    return Path(resume)


def run_settings(checkpoint: str | Path) -> dict[str, Any]:
    """The config of the run whose folder a checkpoint lies in; empty where there is none.

    A relative path of its structures that leads nowhere from here is one inside the repository, as in the runs that
    come with it.
    """
    import yaml

    path = Path(checkpoint).resolve().parents[1] / "config.yaml"
    settings = yaml.safe_load(path.read_text()) if path.exists() else {}
    data = settings.get("data", {})
    if "path" in data and not Path(data["path"]).exists() and (REPOSITORY / data["path"]).exists():
        data["path"] = str(REPOSITORY / data["path"])
    return settings


def require_same_settings(path: str | Path, current: dict[str, Any], precision: str) -> None:
    """Refuse to go on from a checkpoint whose model settings or precision are not the current ones.

    Args:
        path: the checkpoint; the precision is that in the config of its run, where there is one.
        current: settings of the model that is to go on, as `CryinGAN.hparams`.
        precision: trainer.precision of the run that is to go on.

    Raises:
        CryinGANError: names every setting that differs, with both values.
    """
    saved = read_checkpoint(path).get("hyper_parameters")
    if not isinstance(saved, dict):
        raise CryinGANError(f"{path} is not a checkpoint of train.py")
    trainer = run_settings(path).get("trainer", {})
    saved = {**saved, "trainer.precision": trainer.get("precision", precision)}
    current = {**current, "trainer.precision": precision}
    differing = [
        f"{name} is {_short(current.get(name))} here and {_short(saved.get(name))} in the checkpoint"
        for name in sorted(saved.keys() | current.keys())
        if _plain(saved.get(name)) != _plain(current.get(name))
    ]
    if differing:
        raise CryinGANError(f"{path} belongs to other settings: {'; '.join(differing)}; choose another run_dir")


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def load_model(path: str | Path) -> CryinGAN:
    """The model of a checkpoint, on the CPU.

    Raises:
        CryinGANError: the file is no checkpoint of a CryinGAN, or one of a newer version.
    """
    from cryingan.gan import CHECKPOINT_FORMAT, CryinGAN

    content = read_checkpoint(path)
    if "cryingan_format" not in content:
        raise CryinGANError(f"{path} is not a checkpoint of train.py")
    if content["cryingan_format"] > CHECKPOINT_FORMAT:
        raise CryinGANError(f"{path} was written by a newer cryingan; this one reads format {CHECKPOINT_FORMAT}")
    try:
        model = CryinGAN(**content["hyper_parameters"])
        model.load_state_dict(content["state_dict"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CryinGANError(f"{path} does not fit its own settings: {str(error).splitlines()[-1].strip()}") from error
    return model


def upstream_model(path: str | Path, reference: Crystals) -> CryinGAN:
    """A model that samples from a generator of the original program; its discriminators are untrained.

    Args:
        path: a `generator_<epoch>` file.
        reference: structures that give the cell and the order of the atoms.

    Raises:
        CryinGANError: the file is no such generator, or the reference has another number of atoms.
    """
    from cryingan.gan import CryinGAN

    network = generator_from_upstream(read_checkpoint(path))
    if network.n_atoms != len(reference.species):
        raise CryinGANError(f"{path} generates {network.n_atoms} atoms, the reference has {len(reference.species)}")
    model = CryinGAN(
        reference.cell.tolist(),
        list(reference.species),
        distance_weight=0.0,
        latent_dim=network.latent_dim,
        channels=network.channels,
        generator_widths=list(network.widths),
    )
    model.generator.load_state_dict(network.state_dict())
    return model


# Where the channels and the three widths stand: (layer, axis of its kernel).
SIZES = ((1, 0), (1, 1), (2, 1), (3, 1))


def generator_from_upstream(state: dict[str, Tensor]) -> Generator:
    """The generator that the original program saved as `generator_<epoch>`; every size is read off the tensors.

    There the first layer orders its outputs (channel, atom), here (atom, channel), and the transposed convolutions hold
    their matrices as (inputs, outputs).

    Args:
        state: state dict with the keys l1.0.*, map1.0.*, map1.1.*, ..., map3.1.* and map4.0.* (or map4.*).

    Returns:
        The generator, in the dtype of the tensors and in training mode.

    Raises:
        CryinGANError: a key is missing or unknown, or a tensor has a shape that does not fit the others.
    """
    state = {f"map4.0.{key[5:]}" if key in ("map4.weight", "map4.bias") else key: value for key, value in state.items()}
    channels, *widths = [_tensor(state, f"map{layer}.0.weight", 4).shape[axis] for layer, axis in SIZES]
    rows, latent_dim = _tensor(state, "l1.0.weight", 2).shape
    n_atoms = rows // max(1, channels)
    _require_shapes(state, _upstream_shapes(n_atoms, latent_dim, channels, widths))

    network = Generator(n_atoms, latent_dim, channels, widths).to(state["l1.0.weight"].dtype)
    network.load_state_dict({name: _ours(state[key], name, channels) for name, key in _keys(network).items()})
    return network


def _tensor(state: dict[str, Tensor], key: str, dimensions: int) -> Tensor:
    tensor = state.get(key)
    if not isinstance(tensor, Tensor) or tensor.dim() != dimensions:
        found = "is missing" if tensor is None else f"is {_shape(tensor)}"
        raise CryinGANError(
            f"not a generator of the original program: {key} {found}, must have {dimensions} dimensions"
        )
    return tensor


def _shape(value: object) -> str:
    return f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _upstream_shapes(n_atoms: int, latent_dim: int, channels: int, widths: list[int]) -> dict[str, tuple[int, ...]]:
    shapes = {"l1.0.weight": (channels * n_atoms, latent_dim), "l1.0.bias": (channels * n_atoms,)}
    for layer, (inputs, outputs) in enumerate(zip([channels, *widths], [*widths, 1], strict=True), start=1):
        shapes[f"map{layer}.0.weight"] = (inputs, outputs, 1, 3 if layer == 1 else 1)
        shapes[f"map{layer}.0.bias"] = (outputs,)
        if layer <= len(widths):
            shapes |= {f"map{layer}.1.{key}": (outputs,) for key in NORM_KEYS}
            shapes[f"map{layer}.1.num_batches_tracked"] = ()
    return shapes


def _require_shapes(state: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> None:
    for key in [*shapes, *state]:
        if key not in state:
            problem = "is missing"
        elif key not in shapes:
            problem = "is not one of its keys"
        elif not isinstance(state[key], Tensor) or state[key].shape != shapes[key]:
            problem = f"is {_shape(state[key])}, must be of shape {shapes[key]}"
        else:
            continue
        raise CryinGANError(f"not a generator of the original program: {key} {problem}")


def _keys(network: Generator) -> dict[str, str]:
    """The original program's key for each of ours."""
    places = {"latent": "l1.0", "layers.0": "map1.0"}
    for layer in range(1, len(network.widths) + 1):
        places[f"layers.{3 * layer - 2}"] = f"map{layer}.1"
        places[f"layers.{3 * layer}"] = f"map{layer + 1}.0"
    return {name: f"{places[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}" for name in network.state_dict()}


def _ours(tensor: Tensor, name: str, channels: int) -> Tensor:
    """A tensor of the original program in the layout of our parameter `name`."""
    if name.startswith("latent."):
        return tensor.unflatten(0, (channels, -1)).transpose(0, 1).flatten(0, 1)
    if tensor.dim() == 4:
        matrix = tensor.squeeze(2).transpose(0, 1)
        return matrix if name == "layers.0.weight" else matrix.squeeze(2)
    return tensor
