"""CrysTens for a fixed cell and composition: an image of coordinates and of differences between atoms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ase.data import atomic_numbers
from torch import Tensor, nn
from torch.nn import functional

from cryingan.errors import CryinGANError
from cryingan.models.unet.diffusion import denoised, linear_log_snr, noised
from cryingan.models.unet.image_model import ImageModel
from cryingan.models.unet.network import Shape, UNet
from cryingan.models.unet.scaling import Scaling
from cryingan.models.unet.settings import CrysTensSettings

LINES = 11  # atomic number, coordinates, lengths, angles, space group; what the cell fixes stays zero
AXES = slice(1, 4)  # lines and channels of coordinates
CHANNELS = 4
GIVEN_TIME = 0.2  # of the noise of the small image that the second network is given when it samples


class CrysTens(ImageModel):
    """The representation of Alverson et al. (Digital Discovery 3, 62, 2024) as in Dismai-Bench, in a fixed cell.

    The first rows and columns hold coordinates, the others distances of fractional coordinates and their differences
    along each axis, without periodic images. Everything is scaled to [-1, 1] over the training structures. Relative
    positions of a sample come from the differences alone, by least squares; the coordinates give the common offset.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: those of Dismai-Bench when not given.
        shift: as in `cryingan.models.base.GenerativeModel`.
        changes: fields of `cryingan.models.unet.settings.CrysTensSettings` that differ from `settings`.

    Raises:
        CryinGANError: the small image is not smaller than the other one.

    Example:
        >>> from cryingan.models.unet.crystens import CrysTens
        >>> cell = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
        >>> small = {"width": 8, "multiples": [1], "blocks": [0], "attention": [False], "heads": 1, "head_width": 4}
        >>> model = CrysTens(cell, ["Li", "Li", "Cl"], cascade=False, **small)
        >>> model.sample(5, seed=1, steps=10).fractional.shape
        (5, 3, 3)
    """

    kind = "crystens"
    settings_type = CrysTensSettings

    def build(self, settings: CrysTensSettings) -> None:
        """The networks, and the size of the image."""
        if settings.cascade:
            self.quantities = ("loss", "loss_small", "loss_full")
        super().build(settings)
        atoms = len(self.grouping)
        divisor = (self._second(settings) if settings.cascade else self._first(settings)).divisor
        self.start = LINES + -(LINES + atoms) % divisor  # rows before the differences
        self.size = self.start + atoms
        if settings.cascade and settings.small_size >= self.size:
            raise CryinGANError(
                f"model.small_size={settings.small_size}: the image has {self.size} rows; take model.cascade=false"
            )
        numbers = torch.tensor([[float(atomic_numbers[symbol])] for symbol in self.hparams.species])
        elements = Scaling([float(numbers.min())], [float(numbers.max())], self.low)
        one = numbers.min() == numbers.max()
        self.register_buffer("elements", numbers * 0 if one else elements.scaled(numbers), persistent=False)
        self.pairs = Scaling([0.0, -1.0, -1.0, -1.0], [3**0.5, 1.0, 1.0, 1.0], self.low)

    def make_network(self, settings: CrysTensSettings) -> nn.ModuleList:
        """One network, or that of the small image and that of the full one."""
        shapes = [self._first(settings), *([self._second(settings)] if settings.cascade else [])]
        return nn.ModuleList([UNet(CHANNELS, shape) for shape in shapes])

    def _first(self, settings: CrysTensSettings) -> Shape:
        halve_first = settings.halve_first and not settings.cascade
        return self.shape_of(
            settings, linear_attention=not halve_first, halve_first=halve_first, middle_feed_forward=True
        )

    def _second(self, settings: CrysTensSettings) -> Shape:
        heads = (settings.heads, settings.head_width)
        parts = (settings.width, settings.multiples, settings.second_blocks, settings.second_attention)
        return Shape(*parts, heads=heads, given_image=True, halve_first=True, middle_feed_forward=True)

    def fit(self, places: Sequence[Tensor]) -> None:
        """Find ranges of coordinates and differences."""
        super().fit(places)
        self.pairs.fit(pair_quantities(part) for part in places)

    def encode(self, places: Tensor) -> Tensor:
        """The image, (structures, 1, 4, size, size)."""
        image = places.new_zeros(len(places), CHANNELS, self.size, self.size)
        lines = torch.cat([self.elements.expand(len(places), -1, -1), self.coordinates.scaled(places)], dim=2)[:, None]
        image[:, :, self.start :, : AXES.stop] = lines
        image[:, :, : AXES.stop, self.start :] = lines.transpose(2, 3)
        image[:, :, self.start :, self.start :] = self.pairs.scaled(pair_quantities(places)).movedim(3, 1)
        return image[:, None]

    def decode(self, images: Tensor) -> Tensor:
        """Coordinates in the order of images, (structures, atoms, 3)."""
        image = images[:, 0]
        lines = torch.stack([image[:, :, self.start :, AXES], image[:, :, AXES, self.start :].transpose(2, 3)])
        places = self.coordinates.unscaled(lines.mean(dim=(0, 2)))
        pairs = self.pairs.unscaled(image[:, :, self.start :, self.start :].movedim(1, 3))[..., AXES]
        return from_differences(pairs) + places.mean(dim=1, keepdim=True)

    def losses(self, fractional: Tensor, shares: Tensor, source: torch.Generator) -> dict[str, Tensor]:
        """The error of the noise; with a cascade the mean of both networks, and those of each."""
        images = self.encode(self.in_image(fractional, source))
        if not self.hparams.cascade:
            return {"loss": self.noise_loss(self.network[0], images, shares, source)}
        small = resized(images, self.hparams.small_size)
        first = self.noise_loss(self.network[0], small, shares, source)
        time = torch.rand((), generator=source, device=images.device, dtype=images.dtype)
        noise = torch.randn(images.shape, generator=source, device=images.device, dtype=images.dtype)
        second = self.noise_loss(self.network[1], images, shares, source, self.given(small, noise, time))
        return {"loss": (first + second) / 2, "loss_small": first, "loss_full": second}

    def given(self, small: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """What the second network gets besides noise: the small image in full size, with noise of a time, and the time.

        Args:
            small: (structures, 1, 4, small_size, small_size).
            noise: normal, in full size.
            time: one for all structures.
        """
        log_snr = linear_log_snr(time).expand(len(small))
        return noised(resized(small, self.size), noise, log_snr), log_snr

    def generate(self, sources: Sequence[torch.Generator], steps: int | None = None) -> Tensor:
        """Denoise an image, with a cascade a small one first, and read it.

        Args:
            sources: one for each structure.
            steps: from noise to an image; None: `settings.steps`.

        Returns:
            Fractional coordinates (structures, atoms, 3), grouped.
        """
        steps = self.hparams.steps if steps is None else steps

        def drawn(network: nn.Module, size: int, given: tuple[Tensor, ...] = ()) -> Tensor:
            shape = (1, CHANNELS, size, size)
            return denoised(
                self.normal(sources, shape),
                lambda images, log_snr: network(images, log_snr, *given),
                steps,
                lambda: self.normal(sources, shape),
            )

        if not self.hparams.cascade:
            return self.from_image(self.decode(drawn(self.network[0], self.size)))
        small = drawn(self.network[0], self.hparams.small_size)
        noise = self.normal(sources, (1, CHANNELS, self.size, self.size))
        given = self.given(small, noise, torch.tensor(GIVEN_TIME, device=self.device, dtype=self.dtype))
        return self.from_image(self.decode(drawn(self.network[1], self.size, given)))


def pair_quantities(places: Tensor) -> Tensor:
    """Distance and differences of coordinates (structures, atoms, 3) from row to column, (structures, n, n, 4)."""
    apart = places[:, :, None] - places[:, None]
    return torch.cat([apart.norm(dim=-1, keepdim=True), apart], dim=-1)


def from_differences(differences: Tensor) -> Tensor:
    """Coordinates about their mean whose differences are nearest, by least squares, to given ones.

    Args:
        differences: from row to column, (structures, atoms, atoms, 3); none need be antisymmetric.

    Returns:
        (structures, atoms, 3).
    """
    return (differences.mean(dim=2) - differences.mean(dim=1)) / 2


def resized(images: Tensor, size: int) -> Tensor:
    """Images (structures, 1, channels, rows, columns) of another size, from the nearest pixels."""
    return functional.interpolate(images[:, 0], size=(size, size), mode="nearest")[:, None]
