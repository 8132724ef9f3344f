"""Read generators that the authors' own program saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from cryingan.errors import CryinGANError
from cryingan.models.cryingan.networks import Generator
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.structures.crystals import Crystals

if TYPE_CHECKING:
    from cryingan.models.cryingan.gan import CryinGAN


def upstream_model(path: str | Path, reference: Crystals) -> CryinGAN:
    """A model that samples from a `generator_<epoch>` file of the original program; its discriminators are untrained.

    The reference gives the cell and the order of the atoms.

    Raises:
        CryinGANError: the file is no such generator, or the reference has another number of atoms.
    """
    from cryingan.models.cryingan.gan import CryinGAN

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
    channels, *_ = _tensor(state, "map1.0.weight", 4).shape
    widths = [_tensor(state, f"map{layer}.0.weight", 4).shape[1] for layer in (1, 2, 3)]
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
            shapes |= {f"map{layer}.1.{key}": (outputs,) for key in ("weight", "bias", "running_mean", "running_var")}
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
