"""Structures as graphs for matgl's M3GNet."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import torch
from ase import Atoms
from matgl.graph._compute import compute_pair_vector_and_distance, create_line_graph_torch

from cryingan.geometry.neighbors import neighbors


def joined(frames: list[Atoms], types: Mapping[str, int], cutoff: float, device: str) -> SimpleNamespace:
    """Join periodic structures in one graph, with edges up to the cut-off, Angstrom, and none between structures.

    `types` are the indices of chemical symbols in the model.
    """
    positions, edges, shifts, first = [], [], [], 0
    for frame in frames:
        wrapped, cell = frame.get_positions(wrap=True), np.asarray(frame.cell)
        source, target, image = neighbors(wrapped, cell, cutoff)
        positions.append(wrapped)
        edges.append(np.stack([source, target]) + first)
        shifts.append(image @ cell)
        first += len(frame)
    numbers = [types[symbol] for frame in frames for symbol in frame.get_chemical_symbols()]
    owner = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    return SimpleNamespace(
        node_type=torch.as_tensor(numbers, device=device),
        pos=_real(positions, device).requires_grad_(),
        edge_index=torch.as_tensor(np.concatenate(edges, axis=1), dtype=torch.long, device=device),
        pbc_offshift=_real(shifts, device),
        batch=torch.as_tensor(owner, device=device),
        num_graphs=len(frames),
    )


def triples(graph: SimpleNamespace, cutoff: float) -> dict[str, torch.Tensor]:
    """Return pairs of bonds within the cut-off (Angstrom) that share an atom; matgl's default loops over atoms."""
    with torch.no_grad():
        vector, distance = compute_pair_vector_and_distance(graph.pos, graph.edge_index, graph.pbc_offshift)
        return create_line_graph_torch(graph.edge_index, distance, vector, len(graph.pos), cutoff)


def _real(values: list[np.ndarray], device: str) -> torch.Tensor:
    return torch.as_tensor(np.concatenate(values), dtype=torch.float32, device=device)
