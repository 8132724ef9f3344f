"""The two message conventions of M3GNet weights in matgl's format."""

from __future__ import annotations

import torch
from matgl.layers._graph_convolution import M3GNetGraphConv
from matgl.utils.maths import scatter_add

CONVENTIONS = ("source", "destination")


class GraphConv(M3GNetGraphConv):
    """M3GNet's graph convolution, with messages summed at the source or the destination atom of an edge.

    Args:
        inner: matgl's convolution, whose layers it takes over.

    Attributes:
        convention: `source`, as in matgl 3 and later, or `destination`, as in matgl 2 and earlier.
    """

    def __init__(self, inner: M3GNetGraphConv) -> None:
        super().__init__(
            inner.include_state,
            inner.edge_update_func,
            inner.edge_weight_func,
            inner.node_update_func,
            inner.node_weight_func,
            inner.state_update_func,
        )
        self.convention = "source"

    def node_update_(
        self,
        edge_index: torch.Tensor,
        edge_feat: torch.Tensor,
        node_feat: torch.Tensor,
        rbf: torch.Tensor,
        u_per_edge: torch.Tensor | None,
        num_nodes: int,
    ) -> torch.Tensor:
        """Update the atoms: M3GNet paper (doi:10.1038/s43588-022-00349-3), eq. 5; shape (atoms, features)."""
        inputs = [node_feat[edge_index[0]], node_feat[edge_index[1]], edge_feat]
        if self.include_state:
            inputs.append(u_per_edge)
        messages = self.node_update_func(torch.hstack(inputs)) * self.node_weight_func(rbf)
        return scatter_add(messages, edge_index[CONVENTIONS.index(self.convention)], dim_size=num_nodes, dim=0)
