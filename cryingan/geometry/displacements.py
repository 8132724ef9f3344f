"""Displacements in a periodic cell as networks see them."""

from __future__ import annotations

from torch import Tensor


def nearest_along_axes(difference: Tensor, cell: Tensor) -> Tensor:
    """Fractional differences as displacements to the image that is nearest along each axis.

    In a skewed cell another image may be nearer; `cryingan.geometry.neighbors.NearestImage` finds it.

    Args:
        difference: shape (..., 3); need not be wrapped.
        cell: lattice vectors in rows, Angstrom, shape (3, 3); any dtype and device.

    Returns:
        Angstrom, of shape, dtype and device of `difference`.
    """
    return (difference - difference.round()) @ cell.to(difference)
