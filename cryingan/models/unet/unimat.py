"""UniMat for a fixed cell and composition: a video with an atom in each frame."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cryingan.errors import CryinGANError
from cryingan.models.unet.diffusion import denoised, thresholded
from cryingan.models.unet.image_model import ImageModel
from cryingan.models.unet.network import UNet
from cryingan.models.unet.settings import Elements, UniMatSettings
from cryingan.randomness import generator
from cryingan.structures.crystals import Crystals

ABSENT = -1.0
ATTEMPTS = 10  # to draw a structure without atoms of other elements

log = logging.getLogger(__name__)


class UniMat(ImageModel):
    """The representation of Yang et al. (arXiv:2311.09235) with the network of Dismai-Bench, in a fixed cell.

    A frame is a table of elements. The place of the atom's element holds its coordinates, scaled to [0, 1] over the
    training structures, the others -1. A structure with another element in the place of an atom is refused, and drawn
    again, at most ten times; `rejected` counts the candidates that were refused and the structures that were kept all
    the same.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: those of Dismai-Bench when not given.
        shift: as in `cryingan.models.base.GenerativeModel`.
        changes: fields of `cryingan.models.unet.settings.UniMatSettings` that differ from `settings`.

    Raises:
        CryinGANError: the table has fewer places than there are elements.

    Example:
        >>> from cryingan.models.unet.unimat import UniMat
        >>> cell = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
        >>> small = {"width": 8, "multiples": [1], "blocks": [0], "attention": [False], "heads": 1, "head_width": 4}
        >>> model = UniMat(cell, ["Li", "Li", "Cl"], table=2, elements="read", **small)
        >>> model.sample(5, seed=1, steps=10).fractional.shape
        (5, 3, 3)
    """

    kind = "unimat"
    settings_type = UniMatSettings
    sampler_keys = ("steps", "elements")
    low = 0.0

    def build(self, settings: UniMatSettings) -> None:
        """The network, and the place of every atom's element in the table, row by row."""
        super().build(settings)
        symbols, places = list(self.template.counts), settings.table**2
        if len(symbols) > places:
            raise CryinGANError(f"model.table={settings.table}: it has {places} places for {len(symbols)} elements")
        own = torch.tensor([symbols.index(symbol) for symbol in self.hparams.species])
        self.register_buffer("own", own[:, None] == torch.arange(places), persistent=False)  # (atoms, places)

    def make_network(self, settings: UniMatSettings) -> UNet:
        """The U-Net of frames."""
        return UNet(3, self.shape_of(settings, frames=True))

    def encode(self, places: Tensor) -> Tensor:
        """Frames of the atoms, (structures, atoms, 3, table, table)."""
        scaled = self.coordinates.scaled(places)[..., None]
        frames = torch.where(self.own[:, None], scaled, torch.full_like(scaled, ABSENT))
        return frames.unflatten(-1, (self.hparams.table, -1))

    def decode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates in the order of images, and whether no other element is there, (structures,)."""
        frames = images.flatten(-2)
        places = self.coordinates.unscaled((frames * self.own[:, None]).sum(dim=-1))
        absent = (frames.round() <= ABSENT).any(dim=2)
        return places, (absent | self.own).flatten(1).all(dim=1)

    def losses(self, fractional: Tensor, shares: Tensor, source: torch.Generator) -> dict[str, Tensor]:
        """The error of the noise."""
        images = self.encode(self.in_image(fractional, source))
        return {"loss": self.noise_loss(self.network, images, shares, source)}

    def candidates(
        self, sources: Sequence[torch.Generator], steps: int | None = None, elements: str | None = None
    ) -> tuple[Tensor, Tensor]:
        """A structure from each source, and whether it has no other elements than it should.

        Args:
            sources: one for each structure.
            steps: from noise to structures; None: `settings.steps`.
            elements: what to do with others; None: `settings.elements`.

        Returns:
            Fractional coordinates (structures, atoms, 3), grouped; bool (structures,), always true unless `strict`.
        """
        elements = Elements(elements or self.hparams.elements)
        table = self.hparams.table
        shape, own = (len(self.own), 3, table, table), self.own[:, None].unflatten(-1, (table, table))

        def with_empty(images: Tensor) -> Tensor:
            return torch.where(own, thresholded(images), torch.full_like(images, ABSENT))

        images = denoised(
            self.normal(sources, shape),
            self.network,
            self.hparams.steps if steps is None else steps,
            lambda: self.normal(sources, shape),
            with_empty if elements == Elements.fixed else thresholded,
        )
        places, right = self.decode(images)
        return self.from_image(places), right | (elements != Elements.strict)

    def generate(self, sources: Sequence[torch.Generator], **sampler: Any) -> Tensor:
        """Structures whatever elements they have; arguments as in `candidates`."""
        return self.candidates(sources, **sampler)[0]

    def sample(self, *numbers: Any, **settings: Any) -> Crystals:
        """As `cryingan.models.base.GenerativeModel.sample`; a warning says how many have atoms of another element."""
        samples = super().sample(*numbers, **settings)
        if kept := self.rejected["kept"]:
            log.warning(
                "%d of %d samples had atoms of another element in each of %d candidates, the last of which is kept: "
                "train for longer, or take read or fixed for model.elements, which is sampler.elements in sample.py",
                *(kept, len(samples), ATTEMPTS),
            )
        return samples

    def batches(
        self, parts: Sequence[range], seed: int, purpose: str, **sampler: Any
    ) -> Iterator[tuple[Tensor, dict[str, int]]]:
        """Samples a batch at a time, grouped, each drawn until it has no other elements, and what was `rejected`."""
        for numbers in parts:
            with self.averaged_weights():
                yield self._accepted(numbers, seed, purpose, **sampler)

    def _accepted(
        self, numbers: Sequence[int], seed: int, purpose: str, **sampler: Any
    ) -> tuple[Tensor, dict[str, int]]:
        """The structures of some numbers, grouped; what is random in a later attempt depends on its number, too."""
        found = torch.empty(len(numbers), len(self.own), 3, device=self.device, dtype=self.dtype)
        missing, candidates = list(range(len(numbers))), 0
        for attempt in range(ATTEMPTS):
            steps = [(numbers[k], attempt) if attempt else (numbers[k],) for k in missing]
            found[missing], right = self.candidates([generator(seed, purpose, *step) for step in steps], **sampler)
            missing = [k for k, good in zip(missing, right.tolist(), strict=True) if not good]
            candidates += len(missing)
            if not missing:
                break
        return found, {"candidates": candidates, "kept": len(missing)}
