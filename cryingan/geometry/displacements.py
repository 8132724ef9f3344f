"""Displacements in a periodic cell as networks see them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cryingan.geometry.lattice import reduced_lattice, shortening_translations
from cryingan.geometry.vectors import cartesian, combined, reduced_coordinates


def nearest_along_axes(difference: Tensor, cell: Tensor) -> Tensor:
    """Fractional differences as displacements to the image that is nearest along each axis.

    In a skewed cell another image may be nearer; `nearest_image` finds it.

    Args:
        difference: shape (..., 3); need not be wrapped.
        cell: lattice vectors in rows, Angstrom, shape (3, 3); any dtype and device.

    Returns:
        Angstrom, of shape, dtype and device of `difference`.
    """
    return (difference - difference.round()) @ cell.to(difference)


def nearest_image(difference: Tensor, cell: Tensor) -> Tensor:
    """Fractional differences as displacements to the nearest image, exact in any cell.

    Args:
        difference: shape (..., 3); need not be wrapped.
        cell: lattice vectors in rows, Angstrom, shape (3, 3).

    Returns:
        Angstrom, of shape, dtype and device of `difference`.

    Raises:
        CryinGANError: the cell is flat or not finite.

    Example:
        >>> nearest_image(torch.tensor([0.6, 0.5, 0.0]), torch.tensor([[4.0, 0, 0], [3.0, 2.0, 0], [0, 0, 5.0]]))
        tensor([-0.1000,  1.0000,  0.0000])
    """
    values = tuple(map(tuple, cell.tolist()))
    lattice = reduced_lattice(values)
    wrapped = reduced_coordinates(difference, lattice)
    nearest = torch.stack(cartesian((wrapped - wrapped.round()).unbind(-1), lattice), dim=-1)
    first = nearest
    for shift in shortening_translations(values)[0]:
        other = first + first.new_tensor(shift)
        nearer = other.square().sum(dim=-1) < nearest.square().sum(dim=-1)
        nearest = torch.where(nearer[..., None], other, nearest)
    # The reduced cell is turned, and its axes are given in those of the cell.
    turned = np.linalg.inv(lattice.rows) @ np.linalg.inv(lattice.transform) @ np.array(values)
    return combined(nearest, turned)
