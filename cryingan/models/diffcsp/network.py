"""The network of DiffCSP: every atom of a cell receives messages from all atoms or from the nearest.

Jiao et al., NeurIPS 2023 (arXiv:2309.04475), as configured for Dismai-Bench (Supplementary Information). The linear map
of a pair is applied to its parts, so that no pair carries the features of both atoms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryingan.geometry.displacements import nearest_along_axes
from cryingan.geometry.distances import pair_distances
from cryingan.models.diffcsp.pair_features import DirectWaves, PairFeatures, TabulatedWaves, waves

TIME_PERIOD = 1e4


class PairNetwork(nn.Module):
    """Three numbers per atom, in fractional axes, from fractional coordinates and a time.

    Equivariant under permutations of atoms of a species, unless there are `sites`, and invariant under translations,
    unless there is one of `absolute` and `sites`.

    Args:
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        species: row of the embedding of each atom, shape (atoms,).
        rows: rows of the embedding.
        hidden: width of all layers.
        layers: message layers.
        frequencies: waves per axis in the features of a pair, sine and cosine each.
        neighbors: nearest atoms that send messages to an atom, besides itself; 0 for all atoms.
        grid: points of the table from which pair features are interpolated; 0 for the direct form.
        absolute: give each atom its place in the cell as well.
        sites: give each atom its displacement from a site of its own as well, see the buffer `sites`.
        cell_term: give each pair the metric of the cell, as upstream does.
        cell_head: have the head that predicts a cell, which a fixed cell does not use.
    """

    def __init__(
        self,
        cell: Tensor,
        species: Tensor,
        rows: int,
        hidden: int = 256,
        layers: int = 4,
        frequencies: int = 128,
        neighbors: int = 0,
        grid: int = 0,
        absolute: bool = False,
        sites: bool = False,
        cell_term: bool = False,
        cell_head: bool = False,
    ) -> None:
        super().__init__()
        self.cell = cell.double()  # no buffer: distances need it exact and on the CPU
        self.register_buffer("species", species, persistent=False)
        self.hidden, self.frequencies, self.neighbors, self.grid = hidden, frequencies, neighbors, grid
        self.embedding = nn.Embedding(rows, hidden)
        self.input = nn.Linear(2 * hidden, hidden)
        self.place = nn.Linear(6 * frequencies, hidden) if absolute else None
        self.displacement = nn.Linear(3, hidden) if sites else None
        self.register_buffer("sites", torch.zeros(len(species), 3) if sites else None)  # fractional, of each atom
        metric = (cell @ cell.T).flatten().float() if cell_term else None
        self.layers = nn.ModuleList(PairLayer(hidden, 6 * frequencies, metric) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, 3, bias=False)
        self.cell_head = nn.Linear(hidden, 9, bias=False) if cell_head else None

    def forward(self, fractional: Tensor, time: Tensor) -> Tensor:
        """Predict.

        Args:
            fractional: shape (structures, atoms, 3); need not be wrapped.
            time: one number per structure, shape (structures,).

        Returns:
            Shape (structures, atoms, 3).
        """
        atoms = self.embedding(self.species).expand(len(fractional), -1, -1)
        times = waves_of_time(time, self.hidden)[:, None].expand_as(atoms)
        features = self.input(torch.cat([atoms, times.to(atoms.dtype)], dim=-1))
        if self.place is not None:
            features = features + self.place(waves(fractional, self.frequencies))
        if self.displacement is not None:
            features = features + self.displacement(nearest_along_axes(fractional - self.sites, self.cell))
        senders = self._senders(fractional)
        others = fractional[:, None] if senders is None else _gather(fractional, senders)
        difference = others - fractional[:, :, None]
        waved = self._pair_features(difference).products([layer.parts[-1] for layer in self.layers])
        for layer, pairs in zip(self.layers, waved, strict=True):
            features = layer(features, pairs, senders)
        return self.head(self.norm(features))

    def _pair_features(self, difference: Tensor) -> PairFeatures:
        if self.grid:
            return TabulatedWaves(difference, self.frequencies, self.grid)
        return DirectWaves(difference, self.frequencies)

    @torch.no_grad()
    def _senders(self, fractional: Tensor) -> Tensor | None:
        """The atoms that send to each atom, itself first, shape (structures, atoms, k + 1); None for all."""
        if not 0 < self.neighbors < fractional.shape[1] - 1:
            return None
        distances = pair_distances(fractional.detach(), self.cell)
        distances.diagonal(dim1=1, dim2=2).fill_(-1.0)
        return distances.topk(self.neighbors + 1, dim=-1, largest=False).indices


class PairLayer(nn.Module):
    """One round of messages: its width, the number of features of a pair, nine numbers of the cell or None."""

    def __init__(self, hidden: int, features: int, metric: Tensor | None) -> None:
        super().__init__()
        self.sizes = [hidden, hidden, 0 if metric is None else 9, features]
        self.register_buffer("metric", metric, persistent=False)
        self.norm = nn.LayerNorm(hidden)
        self.pair = nn.Linear(sum(self.sizes), hidden)
        self.message = nn.Linear(hidden, hidden)
        self.node = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())

    @property
    def parts(self) -> Sequence[Tensor]:
        """The weights of receiver, sender, cell and features of a pair, each (hidden, its numbers)."""
        return self.pair.weight.split(self.sizes, dim=1)

    def forward(self, features: Tensor, pairs: Tensor, senders: Tensor | None) -> Tensor:
        """Add messages to features (structures, atoms, hidden).

        Args:
            features: of the atoms.
            pairs: their features times the last of `parts`, shape (structures, atoms, senders, hidden).
            senders: their indices; None for all atoms in order.
        """
        normed = self.norm(features)
        receiver, sender, metric, _ = self.parts
        constant = self.pair.bias if self.metric is None else self.pair.bias + metric @ self.metric
        sent = functional.linear(normed, sender)
        sent = sent[:, None] if senders is None else _gather(sent, senders)
        first = functional.linear(normed, receiver, constant)[:, :, None] + sent + pairs
        messages = functional.silu(self.message(functional.silu(first))).mean(dim=2)
        return features + self.node(torch.cat([normed, messages], dim=-1))


def waves_of_time(time: Tensor, width: int) -> Tensor:
    """Sines, then cosines of a time at `width` / 2 frequencies from 1 to 1e-4: (structures,) to (structures, width)."""
    half = width // 2
    rates = torch.exp(-math.log(TIME_PERIOD) / (half - 1) * torch.arange(half, device=time.device))
    angles = time[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _gather(values: Tensor, senders: Tensor) -> Tensor:
    """Values (structures, atoms, width) of the senders (structures, atoms, k): (structures, atoms, k, width)."""
    structures, atoms, width = values.shape
    rows = senders + atoms * torch.arange(structures, device=senders.device)[:, None, None]
    return values.reshape(-1, width).index_select(0, rows.flatten()).view(*senders.shape, width)
