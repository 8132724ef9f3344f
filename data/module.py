"""Lightning data module: training and validation structures of one file, in memory on the training device."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor

from cryingan.energies.data_card import data_source
from cryingan.errors import CryinGANError
from cryingan.geometry.distances import neighbor_distances
from cryingan.randomness import generator
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures
from cryingan.structures.matching import site_order
from cryingan.structures.overlaps import overlaps
from cryingan.structures.sources import source_hash
from data.loader import TensorLoader
from data.origin import CUT, MOVE, NO_GAP, axes_cut, emptiest_origin, origin_of
from data.random_structures import RandomStructures, random_structures
from data.settings import DataSettings
from data.translation import AXES, axes_of, require_no_lattice, translations

STRUCTURES_PER_CHUNK = 256
FEW = 100  # structures
OVERLAP = (
    "%s, frame %d: atoms %d and %d are %.2f Angstrom apart, less than half the sum of their covalent radii (%.2f); "
    "so it is in %d of %d structures, from which the model learns it: mend or remove them unless that is meant"
)
SAME_IN_A_RUN = ("sort_species", "validation", "split_seed", "batch_size", "translate")

log = logging.getLogger(__name__)


class StructureData(LightningDataModule):
    """Structures of one file, split in two, each part one float32 tensor of shape (structures, atoms, 3 + k).

    The first three columns are fractional coordinates, the others the distances to the k nearest neighbours in
    Angstrom. Atoms are grouped by species (`Crystals.grouping`), whatever their order in the file.

    Coordinates have the origin `shift`. Distances are computed for models whose attribute `n_neighbors` is not 0.

    Args:
        path: structures of one cell and one composition: a file in any format that ASE reads, or a folder or pattern
            of such files.
        seed: seed of the order of the batches.
        settings: fields of `data.settings.DataSettings`.

    Raises:
        CryinGANError: a setting is out of range, the file is refused, or the split leaves nothing to train on.
    """

    def __init__(self, path: str | Path, seed: int = 1, **settings: Any) -> None:
        super().__init__()
        self.settings = DataSettings(path=str(path), **settings)
        self.path = Path(path)
        self.seed = seed
        self.tensors: dict[str, Tensor] = {}

    @cached_property
    def crystals(self) -> Crystals:
        """All structures, in the atom order of the first."""
        return read_structures(self.path, sort_species=self.settings.sort_species, types=self.settings.types)

    @cached_property
    def shift(self) -> list[float] | None:
        """The origin of the coordinates that models see, in fractions of the cell; None for that of the file.

        Models add it to their samples, so that everything else has the origin of the file.
        """
        return origin_of(self.settings.shift, self.crystals.fractional)

    @cached_property
    def translated(self) -> tuple[int, ...]:
        """The axes along which batches are translated at random, 0, 1, 2 for a, b, c.

        Raises:
            CryinGANError: the setting means nothing for these structures.
        """
        axes = axes_of(self.settings.translate, self.path, self.settings.card)
        if self.settings.translate is True and len(axes) == 3:
            require_no_lattice(self.crystals, self.path)
        return axes

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, or of the names and contents of several."""
        return source_hash(self.path)

    def with_seed(self, seed: int) -> StructureData:
        """Return a module that shares these structures and shuffles them with another seed."""
        other = copy.copy(self)
        other.seed = seed
        return other

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the training and of the validation structures, each ascending."""
        n = len(self.crystals)
        if n < 2:
            raise CryinGANError(f"{self.path} holds a single structure; training needs at least two")
        held_out = round(n * self.settings.validation)
        if held_out == n:
            raise CryinGANError(f"data.validation={self.settings.validation} of {n} structures leaves none to train on")
        order = torch.randperm(n, generator=generator(self.settings.split_seed, "split")).numpy()
        return np.sort(order[held_out:]), np.sort(order[:held_out])

    @property
    def training(self) -> Crystals:
        """The training structures, in the file's atom order."""
        return self.crystals[self.split()[0]]

    @cached_property
    def random(self) -> RandomStructures:
        """Random structures of this set, with which samples are compared."""
        return random_structures(self.crystals, self.path, self.settings.card)

    @property
    def source(self) -> dict[str, Any]:
        """Plain values from which another process reads all structures of the file, the held-out ones included."""
        return data_source(self.path, self.settings.card, self.settings.sort_species, self.settings.types)

    def setup(self, stage: str) -> None:
        """Put both parts on the device of the trainer, with their neighbour distances."""
        if self.tensors:
            return
        model = self.trainer.lightning_module
        if self.translated and not getattr(model, "translatable", True):
            raise CryinGANError(
                f"data.translate={self.settings.translate}: {model.kind} learns where in the cell atoms are, which "
                "translated structures do not have in common; leave it out, or take model=paper, model=diffcsp "
                "or model=flow with model.prior=uniform"
            )
        device, k = self.trainer.strategy.root_device, getattr(model, "n_neighbors", 0)
        moved = self.crystals
        if self.shift is not None:
            moved = replace(moved, fractional=moved.fractional - self.shift)
        if self.trainer.global_rank == 0:
            self._describe(moved)
        grouped = moved.reordered(moved.grouping)
        cell = torch.tensor(grouped.cell, device=device)
        for name, indices in zip(("training", "validation"), self.split(), strict=True):
            fractional = torch.tensor(grouped.fractional[indices], dtype=torch.float32, device=device)
            self.tensors[name] = with_distances(fractional, cell, k) if k else fractional

    def order_by(self, sites: Crystals) -> None:
        """Order the atoms of each species in all batches by the sites that they belong to.

        Args:
            sites: one structure, atoms grouped, with the origin of the batches.
        """
        for tensor in self.tensors.values():
            fractional = tensor[..., :3].double().cpu().numpy()
            order = site_order(sites, Crystals(fractional, sites.cell, sites.species))
            tensor.copy_(tensor.take_along_dim(torch.from_numpy(order)[..., None].to(tensor.device), dim=1))

    def _origin_matters(self) -> bool:
        """Whether the model sees where in the cell a structure stands."""
        return not getattr(self.trainer.lightning_module, "translation_invariant", False)

    @staticmethod
    def _cut_is_avoidable(moved: Crystals, axes: str) -> bool:
        """Whether another origin cuts fewer axes."""
        away = (moved.fractional - emptiest_origin(moved.fractional)) % 1.0
        return axes_cut(away) != axes

    def _describe(self, moved: Crystals) -> None:
        """Log the origin that was chosen, and warn of structures that are hard to learn."""
        automatic = self.settings.shift == "auto"
        if automatic:
            log.info("data.shift: the origin %s", f"is moved to {self.shift}" if self.shift else "stays")
        if self.translated:
            log.info("data.translate: structures move at random along %s", ", ".join(AXES[n] for n in self.translated))
        elif (axes := axes_cut(moved.fractional)) and self._origin_matters():
            log.warning(CUT, self.path, axes, MOVE if self._cut_is_avoidable(moved, axes) else NO_GAP)
        if found := overlaps(moved):
            worst = min(found, key=lambda one: one.distance / one.limit)
            atoms = (atom + 1 for atom in worst.atoms)
            numbers = (worst.structure + 1, *atoms, worst.distance, worst.limit)
            log.warning(OVERLAP, self.path, *numbers, len(found), len(moved))
        if len(moved) < FEW:
            log.warning("%s holds %d structures; with fewer than %d a model soon overfits", self.path, len(moved), FEW)

    def train_dataloader(self) -> TensorLoader:
        """Shuffled batches of the training structures."""
        return self._loader("training", shuffle=True)

    def val_dataloader(self) -> TensorLoader | list:
        """Batches of the held-out structures, in the order of the file; none when nothing is held out."""
        return self._loader("validation", shuffle=False) if len(self.tensors["validation"]) else []

    def _loader(self, name: str, shuffle: bool) -> TensorLoader:
        structures, axes = self.tensors[name], self.translated

        def moves(epoch: int) -> Tensor:
            return translations(len(structures), axes, self.seed, epoch if shuffle else 0)

        return TensorLoader(
            structures,
            self.settings.batch_size,
            seed=self.seed,
            shuffle=shuffle,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            translations=moves if axes else None,
        )

    def state_dict(self) -> dict[str, Any]:
        """The settings that determine the batches, so that a run cannot resume with other batches unnoticed."""
        return {"hash": self.sha256, **{name: getattr(self.settings, name) for name in SAME_IN_A_RUN}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Refuse to resume with other structures, another split or other batches.

        Raises:
            CryinGANError: names what differs from the checkpoint.
        """
        if state["hash"] != self.sha256:
            raise CryinGANError(f"{self.path} is not the file that this run was trained on")
        differing = [
            f"data.{name} is {getattr(self.settings, name)} here and {value} in the checkpoint"
            for name in SAME_IN_A_RUN
            if (value := state.get(name, getattr(DataSettings, name))) != getattr(self.settings, name)
        ]
        if differing:
            raise CryinGANError(f"the run has other settings: {'; '.join(differing)}")


def with_distances(fractional: Tensor, cell: Tensor, k: int) -> Tensor:
    """Fractional coordinates (structures, atoms, 3), then distances to the k nearest neighbours in Angstrom."""
    chunks = fractional.split(STRUCTURES_PER_CHUNK)
    parts = [torch.cat([chunk, neighbor_distances(chunk, cell, k)], dim=-1) for chunk in chunks if len(chunk)]
    return torch.cat(parts) if parts else fractional.new_zeros((0, fractional.shape[1], 3 + k))
