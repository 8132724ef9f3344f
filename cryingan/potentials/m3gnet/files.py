"""Files of an M3GNet: find, hash and read them, with the name and reference energies of their card."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matgl.models import M3GNet

from cryingan.errors import CryinGANError
from cryingan.potentials.card import CARD_FILE, saved_card
from cryingan.potentials.m3gnet.conventions import GraphConv
from cryingan.potentials.published import PUBLISHED
from cryingan.potentials.settings import M3GNET_FILES

HUB_OWNER = "materialyze"  # where matgl publishes its models


def local_folder(path: str | None) -> Path:
    """Return a local folder, or the folder into which a model of the hub was downloaded.

    Raises:
        CryinGANError: there is no path, no such folder, or no such model on the hub.
    """
    if path is None:
        raise CryinGANError("potential m3gnet needs a path: a local folder, or the name of a model on the hub")
    if Path(path).is_dir():
        return Path(path)
    if path.startswith(("/", ".", "~")):
        raise CryinGANError(f"the folder {path} of potential m3gnet does not exist")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repository = path if "/" in path else f"{HUB_OWNER}/{path}"
    try:
        return Path([hf_hub_download(repository, name) for name in M3GNET_FILES].pop()).parent
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CryinGANError(
            f"{path} is no folder, and {repository} cannot be fetched from the hub: {reason}"
        ) from error


def weights_hash(folder: Path) -> str:
    """Return the SHA-256 that `cat model.pt state.pt | sha256sum` prints.

    Raises:
        CryinGANError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for name in M3GNET_FILES:
        try:
            digest.update((folder / name).read_bytes())
        except OSError as error:
            raise CryinGANError(f"{folder / name} cannot be read: {error.strerror}; is this a matgl model?") from error
    return digest.hexdigest()


def read_model(folder: Path) -> tuple[M3GNet, float, float, np.ndarray]:
    """Read the model, the scale and shift of its energies (eV), and the energy offsets (elements,) in eV.

    The convolutions of the model are `cryingan.potentials.m3gnet.conventions.GraphConv`.

    Raises:
        CryinGANError: the files hold something else.
    """
    try:
        settings, state = (torch.load(folder / name, map_location="cpu", weights_only=True) for name in M3GNET_FILES)
        if settings["model"]["@class"] != "M3GNet" or settings.get("calc_repuls"):
            raise ValueError("it holds another model than a plain M3GNet")
        with torch.random.fork_rng(devices=[]):  # drawing initial weights must not change a training
            model = M3GNet(**settings["model"]["init_args"])
        weights = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
        missing = model.load_state_dict(weights, strict=False).missing_keys
        if model.is_intensive or missing:
            raise ValueError(f"it is no extensive M3GNet or lacks weights {missing[:3]}")
        for layer in model.graph_layers:
            layer.conv = GraphConv(layer.conv)
        scale, shift = (float(state[key]) for key in ("data_std", "data_mean"))
        offsets = state.get("element_refs.property_offset", torch.zeros(len(model.element_types)))
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CryinGANError(f"{folder} cannot be loaded as an M3GNet of matgl: {reason}") from error
    return model.eval().requires_grad_(False), scale, shift, offsets.numpy().astype(np.float64)


def name_and_references(folder: Path, name: str, weights: str) -> tuple[str, Sequence[Mapping]]:
    """Return name and references: those of the card in the folder, or else of the published model.

    A published model is recognised by the SHA-256 of its weights, or else by its name, which then has to reproduce its
    references.

    Raises:
        CryinGANError: the card cannot be read or belongs to other weights.
    """
    if saved := saved_card(folder / CARD_FILE, weights):
        return saved
    if weights in PUBLISHED:
        return PUBLISHED[weights][0], ()
    return name, next((references for title, references in PUBLISHED.values() if title == name), ())
