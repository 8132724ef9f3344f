"""M3GNet through matgl, with the message convention that its weights were trained with.

Imported by `load_potential` when an M3GNet is asked for, because importing matgl takes seconds.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from matgl.graph._compute import compute_pair_vector_and_distance, create_line_graph_torch
from matgl.layers._graph_convolution import M3GNetGraphConv
from matgl.utils.maths import scatter_add

from cryingan.errors import CryinGANError
from cryingan.files import replace_file
from cryingan.m3gnet_files import CARD_FILE, local_folder, name_and_references, read_model, weights_hash
from cryingan.potentials import Potential, PotentialCard, neighbors, parse_references, resolve_device

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)


class DestinationGraphConv(M3GNetGraphConv):
    """The convolution as it was up to matgl 2: messages are summed at the destination atom of an edge."""

    def node_update_(
        self,
        edge_index: torch.Tensor,
        edge_feat: torch.Tensor,
        node_feat: torch.Tensor,
        rbf: torch.Tensor,
        u_per_edge: torch.Tensor | None,
        num_nodes: int,
    ) -> torch.Tensor:
        """Update of the atoms (M3GNet paper, eq. 5), shape (atoms, features)."""
        inputs = [node_feat[edge_index[0]], node_feat[edge_index[1]], edge_feat]
        if self.include_state:
            inputs.append(u_per_edge)
        messages = self.node_update_func(torch.hstack(inputs)) * self.node_weight_func(rbf)
        return scatter_add(messages, edge_index[1], dim_size=num_nodes, dim=0)


CONVENTIONS = {"source": M3GNetGraphConv, "destination": DestinationGraphConv}


class M3GNetPotential(Potential):
    """An M3GNet in matgl's folder format (`model.pt`, `state.pt`).

    matgl from version 3 on sums messages at the source atom of an edge; older weights, the published
    M3GNet-MP-2021.2.8-PES among them, were trained with sums at the destination and give wrong energies without a
    warning. The files do not tell which. So both are tried, and the one that reproduces the references of the card is
    used. The card is `references`, or else `card.json` in the folder, or else the one shipped for a published model.

    matgl's own loader calls whatever class the files name; here the files can only fill an M3GNet.

    On a GPU sums run in any order, so that forces may differ in their last bits from one call to the next.

    Args:
        path: local folder, or the name of a model on the Hugging Face hub (needs a network).
        device: torch device, or `auto`.
        atoms_per_batch: see `Potential`.
        references: see `load_potential`.

    Raises:
        CryinGANError: the files are missing or hold something else, or `card.json` belongs to other weights.
    """

    def __init__(
        self,
        path: str | None = None,
        device: str = "cpu",
        atoms_per_batch: int | None = None,
        references: Sequence[Mapping] = (),
    ) -> None:
        folder = local_folder(path)
        weights = weights_hash(folder)
        with torch.inference_mode(False):
            self.model, self.scale, self.shift, self.offsets = read_model(folder)
            name, shipped = name_and_references(folder, Path(path).name, weights)
            known = parse_references(references or shipped)
            card = PotentialCard(name, weights, tuple(self.model.element_types), known)
            super().__init__(card, resolve_device(device), atoms_per_batch)
            self.model.to(self.device)
        self.types = {symbol: index for index, symbol in enumerate(card.elements)}

    def verify(self) -> None:
        """Choose the message convention that reproduces the references.

        Raises:
            CryinGANError: there are no references, or neither convention reproduces them, or both do; the message
                gives the numbers.
        """
        if not self.card.references:
            raise CryinGANError(
                f"{self.card.name}: no {CARD_FILE} beside the weights and no `references`, so nothing tells "
                "which message convention they follow; cryingan.m3gnet.write_card writes one for a model trained here"
            )
        energies = {}
        for convention in CONVENTIONS:
            self.use_convention(convention)
            energies[convention] = self.reference_energies()
        fitting = [convention for convention in CONVENTIONS if self.reproduces_references(energies[convention])]
        if len(fitting) != 1:
            numbers = "; ".join(f"{name}: {self._comparison(values)}" for name, values in energies.items())
            which = "both" if fitting else "neither"
            raise CryinGANError(
                f"{self.card.name}: {which} of the message conventions reproduce the reference energies ({numbers})"
            )
        self.use_convention(fitting[0])
        log.info("%s: messages summed at the %s atom, as its references demand", self.card.name, fitting[0])

    def use_convention(self, convention: str) -> None:
        """Sum messages at the `source` or the `destination` atom of an edge."""
        for layer in self.model.graph_layers:
            layer.conv.__class__ = CONVENTIONS[convention]

    def _evaluate_batch(self, frames: list[Atoms]) -> tuple[np.ndarray, list[np.ndarray]]:
        # A caller may be in inference mode, in which nothing can be differentiated.
        with torch.inference_mode(False), torch.enable_grad():
            graph = self._graph(frames)
            try:
                self.model(graph, l_g=self._triples(graph))
                atomic = self.model.feature_dict["readout"].view(-1) * self.scale
                (gradient,) = torch.autograd.grad(atomic.sum(), graph.pos)
            finally:
                self.model.feature_dict = {}  # else it keeps every activation until the next call
        types, owner = graph.node_type.cpu().numpy(), graph.batch.cpu().numpy()
        # Summed here in float64: float32 sums of a thousand eV are worth milli-eV only.
        atomic_energies = atomic.detach().cpu().numpy().astype(np.float64) + self.offsets[types]
        energies = np.bincount(owner, atomic_energies, len(frames)) + self.shift
        forces = -gradient.cpu().numpy().astype(np.float64)
        return energies, np.split(forces, np.cumsum([len(frame) for frame in frames])[:-1])

    def _graph(self, frames: list[Atoms]) -> SimpleNamespace:
        """The structures as one graph without edges between them, in the form that the model reads."""
        positions, edges, shifts, first = [], [], [], 0
        for frame in frames:
            wrapped, cell = frame.get_positions(wrap=True), np.asarray(frame.cell)
            source, target, image = neighbors(wrapped, cell, self.model.cutoff)
            positions.append(wrapped)
            edges.append(np.stack([source, target]) + first)
            shifts.append(image @ cell)
            first += len(frame)
        types = [self.types[symbol] for frame in frames for symbol in frame.get_chemical_symbols()]
        owner = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
        return SimpleNamespace(
            node_type=torch.as_tensor(types, device=self.device),
            pos=self._real(np.concatenate(positions)).requires_grad_(),
            edge_index=torch.as_tensor(np.concatenate(edges, axis=1), dtype=torch.long, device=self.device),
            pbc_offshift=self._real(np.concatenate(shifts)),
            batch=torch.as_tensor(owner, device=self.device),
            num_graphs=len(frames),
        )

    def _triples(self, graph: SimpleNamespace) -> dict[str, torch.Tensor]:
        """Pairs of bonds that share an atom; matgl's own default loops over atoms in Python."""
        with torch.no_grad():
            vector, distance = compute_pair_vector_and_distance(graph.pos, graph.edge_index, graph.pbc_offshift)
            return create_line_graph_torch(
                graph.edge_index, distance, vector, len(graph.pos), self.model.threebody_cutoff
            )

    def _real(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)


def write_card(folder: str | Path, name: str, frames: Sequence[Atoms]) -> PotentialCard:
    """Write the `card.json` of an M3GNet that was trained and saved with the installed matgl.

    The energies that it gives now become the references, so that a later matgl cannot change them unseen.

    Args:
        folder: where matgl saved the model.
        name: name of the potential.
        frames: reference structures; at least one with more than one element, since pure elements cannot tell the
            message conventions apart.

    Returns:
        The card.

    Raises:
        CryinGANError: the folder holds no M3GNet or cannot be written.
    """
    potential = M3GNetPotential(str(folder))
    potential.use_convention("source")
    energies, _ = potential.evaluate(frames)
    references = [
        {
            "symbols": frame.get_chemical_symbols(),
            "fractional": frame.get_scaled_positions().tolist(),
            "cell": frame.cell.tolist(),
            "energy": float(energy),
            "tolerance": 1e-4 * len(frame),
        }
        for frame, energy in zip(frames, energies, strict=True)
    ]
    content = {"name": name, "hash": potential.card.hash, "references": references}
    with replace_file(Path(folder) / CARD_FILE) as file:
        file.write(json.dumps(content, indent=1).encode())
    return PotentialCard(name, potential.card.hash, potential.card.elements, parse_references(references))
