"""The models by name: where their classes and their settings are. Importable without torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from cryingan.errors import CryinGANError
from cryingan.models.cdvae.settings import CDVAESettings
from cryingan.models.cgcnn.settings import CGCNNSettings
from cryingan.models.comb.settings import CombSettings
from cryingan.models.cryingan.settings import ModelSettings
from cryingan.models.diffcsp.settings import DiffCSPSettings
from cryingan.models.flow.settings import FlowSettings
from cryingan.models.linear.settings import LinearSettings
from cryingan.models.unet.settings import CrysTensSettings, UniMatSettings

if TYPE_CHECKING:
    from cryingan.models.base import GenerativeModel


class Entry(NamedTuple):
    """A model: the path of its class, and the class of its settings."""

    target: str
    settings: type


MODELS = {
    "cryingan": Entry("cryingan.models.cryingan.gan.CryinGAN", ModelSettings),
    "comb": Entry("cryingan.models.comb.comb.Comb", CombSettings),
    "cgcnn": Entry("cryingan.models.cgcnn.cgcnn.CGCNN", CGCNNSettings),
    "linear": Entry("cryingan.models.linear.linear.Linear", LinearSettings),
    "diffcsp": Entry("cryingan.models.diffcsp.diffcsp.DiffCSP", DiffCSPSettings),
    "flow": Entry("cryingan.models.flow.flow.Flow", FlowSettings),
    "cdvae": Entry("cryingan.models.cdvae.cdvae.CDVAE", CDVAESettings),
    "unimat": Entry("cryingan.models.unet.unimat.UniMat", UniMatSettings),
    "crystens": Entry("cryingan.models.unet.crystens.CrysTens", CrysTensSettings),
}


def model_class(kind: str) -> type[GenerativeModel]:
    """The class of a model.

    Raises:
        CryinGANError: there is no model of this name.
    """
    if kind not in MODELS:
        raise CryinGANError(f"there is no model {kind!r}; the models are {', '.join(MODELS)}")
    module, _, name = MODELS[kind].target.rpartition(".")
    return getattr(import_module(module), name)
