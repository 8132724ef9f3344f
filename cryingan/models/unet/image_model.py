"""What UniMat and CrysTens share: structures as images, a U-Net that learns their noise, samples that are denoised."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cryingan.errors import CryinGANError
from cryingan.models.denoiser import Denoiser
from cryingan.models.unet.average import RisingAverage
from cryingan.models.unet.diffusion import cosine_log_snr, loss_weight, noised
from cryingan.models.unet.network import Shape
from cryingan.models.unet.scaling import Scaling
from cryingan.models.unet.settings import DiffusionSettings, Order
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import matched_to, mean_structure

STRUCTURES = 64  # whose images are made at a time


class ImageModel(Denoiser):
    """A diffusion model of images of structures. A subclass has `make_network`, `encode`, `losses` and `generate`.

    Coordinates are plain numbers there: an atom at a face of the cell jumps from one end to the other, unless
    the data module moves the origin or atoms are ordered by sites, whose nearest images are then taken.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: those of Dismai-Bench when not given.
        shift: as in `cryingan.models.base.GenerativeModel`.
    """

    sampler_keys = ("steps",)
    translatable = False
    betas = (0.9, 0.99)
    low = -1.0  # what the least coordinate of the training structures becomes; the largest becomes 1

    def build(self, settings: DiffusionSettings) -> None:
        """The network, and what is known of the training structures."""
        super().build(settings)
        symbols = list(self.template.counts)
        elements = torch.tensor([symbols.index(symbol) for symbol in self.grouped_species])
        self.register_buffer("element_of", elements, persistent=False)
        self.register_buffer("in_file", torch.from_numpy(np.argsort(self.grouping)), persistent=False)
        self.register_buffer("grouped", torch.from_numpy(self.grouping.copy()), persistent=False)
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("sites", torch.zeros(len(elements), 3))
        self.coordinates = Scaling([0.0] * 3, [1.0] * 3, self.low)

    def new_average(self, network: nn.Module, decay: float) -> RisingAverage:
        """An average that copies the network at first."""
        return RisingAverage(network, decay)

    def shape_of(self, settings: DiffusionSettings, **others: Any) -> Shape:
        """What a network with `blocks` and `attention` of the settings consists of."""
        names = ("width", "multiples", "blocks", "attention")
        heads = (settings.heads, settings.head_width)
        return Shape(**{name: getattr(settings, name) for name in names}, heads=heads, **others)

    def on_fit_start(self) -> None:
        """Find sites and ranges of the training structures, unless a checkpoint brought them.

        Raises:
            CryinGANError: atoms are to be ordered by sites, and the structures share too few.
        """
        super().on_fit_start()
        by_sites = self.hparams.order == Order.sites
        if not self.fitted:
            structures = self.training_structures()
            if by_sites:
                structures = self._matched(structures)
            fractional = torch.from_numpy(structures.fractional).to(self.device, self.dtype)
            self.fit([self.in_image(part) for part in fractional.split(STRUCTURES)])
            self.fitted.fill_(True)
        if by_sites:
            sites = self.sites.double().cpu().numpy()[None]
            self.trainer.datamodule.order_by(Crystals(sites, self.template.cell, self.grouped_species))

    def _matched(self, structures: Crystals) -> Crystals:
        """Structures with their atoms in the order of the sites, which are kept."""
        mean = mean_structure(structures)
        if not mean.shared:
            raise CryinGANError(
                f"model.order=sites: half of the atoms scatter by {mean.typical_scatter:.2f} Angstrom or more about "
                "sites in common; take model.order=file"
            )
        self.sites.copy_(torch.from_numpy(mean.sites.fractional[0]))
        return matched_to(mean.sites, structures)

    def fit(self, places: Sequence[Tensor]) -> None:
        """Find ranges of the coordinates of training structures, in parts, as `in_image` gives them."""
        self.coordinates.fit(places)

    def in_image(self, fractional: Tensor, source: torch.Generator | None = None) -> Tensor:
        """Coordinates in the order in which images have them, and with sites their images that are nearest to these.

        Args:
            fractional: grouped, shape (structures, atoms, 3).
            source: of the random order, if it is one.
        """
        if self.hparams.order == Order.sites:
            moves = fractional - self.sites
            fractional = self.sites + moves - moves.round()
        if self.hparams.order == Order.random and source is not None:
            keys = torch.rand(fractional.shape[:2], generator=source, device=fractional.device)
            order = (self.element_of + keys).argsort(dim=1)  # keys are below 1: species stay together
            fractional = fractional.take_along_dim(order[..., None], dim=1)
        return fractional[:, self.in_file]

    @abstractmethod
    def encode(self, places: Tensor) -> Tensor:
        """Images of coordinates (structures, atoms, 3), (structures, frames, channels, rows, columns)."""

    def noise_loss(
        self,
        network: nn.Module,
        images: Tensor,
        times: Tensor,
        source: torch.Generator,
        given: tuple[Tensor, Tensor] | tuple[()] = (),
    ) -> Tensor:
        """Weighted mean square error of the noise that a network finds in images.

        Args:
            network: a `cryingan.models.unet.network.UNet`.
            images: in [-1, 1].
            times: from 0 (no noise) to 1, shape (structures,).
            source: of the noise.
            given: an image that helps, and its log signal-to-noise ratio.
        """
        log_snr = cosine_log_snr(times)
        noise = torch.randn(images.shape, generator=source, device=images.device, dtype=images.dtype)
        apart = network(noised(images, noise, log_snr), log_snr, *given) - noise
        return (loss_weight(log_snr) * apart.square().flatten(1).mean(dim=1)).mean()

    def normal(self, sources: Sequence[torch.Generator], shape: tuple[int, ...]) -> Tensor:
        """Normal random numbers, an image of a shape from each source."""
        return torch.stack([torch.randn(shape, generator=one) for one in sources]).to(self.device, self.dtype)

    def from_image(self, places: Tensor) -> Tensor:
        """Grouped fractional coordinates in [0, 1) of those in the order of images."""
        return places[:, self.grouped] % 1.0
