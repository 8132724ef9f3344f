"""Batches of labelled structures as matgl trains on them; graphs are made once and stay in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matgl.graph._compute import compute_pair_vector_and_distance, create_line_graph_torch
from matgl.utils.constants import EV_PER_ANG3_TO_GPA
from torch_geometric.data import Batch, Data

from cryingan.geometry.neighbors import neighbors
from data.interface.potential_training.frames import LabelledFrames
from data.loader import TensorLoader


def make_graphs(frames: LabelledFrames, types: Mapping[str, int], cutoff: float) -> list[Data]:
    """A graph with labels for every structure.

    Args:
        frames: structures with energies, forces and perhaps stresses.
        types: index of every chemical symbol in the model.
        cutoff: length of the longest edge, Angstrom.
    """
    graphs = []
    for number, (atoms, forces) in enumerate(zip(frames.atoms, frames.forces, strict=True)):
        positions, cell = atoms.get_positions(wrap=True), np.asarray(atoms.cell)
        source, target, image = neighbors(positions, cell, cutoff)
        stress = np.zeros((3, 3)) if frames.stresses is None else frames.stresses[number] * EV_PER_ANG3_TO_GPA
        graphs.append(
            Data(
                node_type=torch.tensor([types[symbol] for symbol in atoms.get_chemical_symbols()]),
                frac_coords=_real(positions @ np.linalg.inv(cell)),
                edge_index=torch.as_tensor(np.stack([source, target]), dtype=torch.int32),  # small, as all stay
                pbc_offset=torch.as_tensor(image, dtype=torch.int16),
                cell=_real(cell)[None],
                energy=_real([frames.energies[number]]),
                forces=_real(forces),
                stress=_real(stress),
                num_nodes=len(atoms),
            )
        )
    return graphs


class GraphLoader(TensorLoader):
    """Batches of graphs with their triples, as `PotentialLightningModule.step` takes them.

    Args:
        graphs: of `make_graphs`.
        threebody_cutoff: of the model, Angstrom.
        batch_size: structures per batch.
        seed: seed of the order.
        shuffle: a new order in every epoch.
    """

    def __init__(
        self, graphs: Sequence[Data], threebody_cutoff: float, batch_size: int, seed: int, shuffle: bool
    ) -> None:
        super().__init__(torch.arange(len(graphs)), batch_size, seed, shuffle)
        self.graphs, self.threebody_cutoff = graphs, threebody_cutoff

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for indices in super().__iter__():
            yield joined([self.graphs[i] for i in indices.tolist()], self.threebody_cutoff)


def joined(graphs: list[Data], threebody_cutoff: float) -> tuple[Any, ...]:
    """Graph, lattices, triples, no state, total energies (eV), forces (eV/Angstrom) and stresses (GPa) of a batch.

    `create_line_graph_torch` is used because matgl's default for triples loops over the atoms in Python.
    """
    batch = Batch.from_data_list(graphs)
    batch.edge_index, batch.pbc_offset = batch.edge_index.long(), batch.pbc_offset.to(batch.cell.dtype)
    with torch.no_grad():  # written as in matgl's `Potential`, so that distances agree bit for bit
        shift = (batch.pbc_offset.unsqueeze(-1) * batch.cell[batch.batch[batch.edge_index[0]]]).sum(dim=1)
        positions = (batch.frac_coords.unsqueeze(-1) * batch.cell[batch.batch]).sum(dim=1)
        vectors, distances = compute_pair_vector_and_distance(positions, batch.edge_index, shift)
        triples = create_line_graph_torch(batch.edge_index, distances, vectors, len(positions), threebody_cutoff)
    return batch, batch.cell, triples, None, batch.energy, batch.forces, batch.stress


def _real(values: Any) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)
