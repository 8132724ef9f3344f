"""Order parameters of coordination motifs: how much neighbours resemble a tetrahedron, an octahedron and so on.

The definitions, the table of motifs and all parameters are pymatgen's (LocalStructOrderParams; Zimmermann and Jain, RSC
Adv. 10, 6063 (2020)), evaluated for many sites of one coordination number (CN) at a time. Every neighbour j is put at
the north pole and every other neighbour k on the prime meridian; the polar angle of k, and the polar angle and azimuth
of each further neighbour m, count by how well they agree with the motif.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from scipy.special import eval_legendre

from cryingan.errors import CryinGANError
from cryingan.metrics.motifs.polar_angles import PolarAngles

MOTIFS = {
    1: ("sgl_bd",),
    2: ("L-shaped", "water-like", "bent 120 degrees", "bent 150 degrees", "linear"),
    3: ("trigonal planar", "trigonal non-coplanar", "T-shaped"),
    4: ("square co-planar", "tetrahedral", "rectangular see-saw-like", "see-saw-like", "trigonal pyramidal"),
    5: ("pentagonal planar", "square pyramidal", "trigonal bipyramidal"),
    6: ("hexagonal planar", "octahedral", "pentagonal pyramidal"),
    7: ("hexagonal pyramidal", "pentagonal bipyramidal"),
    8: ("body-centered cubic", "hexagonal bipyramidal"),
    **dict.fromkeys((9, 10, 11), ("q2", "q4", "q6")),
    12: ("cuboctahedral", "q2", "q4", "q6"),
}
"""Motifs by CN; higher coordination numbers have none."""
Parameters = dict[str | int, float]


def order_parameters(vectors: np.ndarray) -> np.ndarray:
    """Order parameters of all motifs of a CN in `MOTIFS`, from 0 (unlike) to 1 (alike), shape (sites, motifs).

    That of body-centred cubic may be negative, and depends on the order of the neighbours: k must come after j.

    Args:
        vectors: from each site to its neighbours, of any length, shape (sites, CN, 3).

    Raises:
        CryinGANError: a neighbour lies on its centre.
    """
    number = vectors.shape[1]
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    if not (lengths > 0).all():
        raise CryinGANError("a neighbour lies on its centre")
    angles = PolarAngles(vectors / lengths)
    definitions = [_definition(number, motif) for motif in MOTIFS[number]]
    return np.stack([FUNCTIONS[kind](angles, parameters) for kind, parameters in definitions], axis=1)


@cache
def _definition(number: int, motif: str) -> tuple[str, Parameters]:
    """Kind of an order parameter in pymatgen's terms and its parameters there."""
    from pymatgen.analysis.local_env import CN_OPT_PARAMS, LocalStructOrderParams

    kind, *parameters = CN_OPT_PARAMS.get(number, {}).get(motif, [motif])
    return kind, LocalStructOrderParams([kind], parameters=[parameters[0] if parameters else None]).get_parameters(0)


def _bell(angle: np.ndarray, target: np.ndarray | float, inverse_width: float) -> np.ndarray:
    """Gaussian of an angle in radians about a target in units of pi."""
    return np.exp(-0.5 * np.square(inverse_width * (angle / np.pi - target)))


def _wave(angles: PolarAngles, p: Parameters) -> np.ndarray:
    """Agreement of the azimuths, shape (sites, j, k, m)."""
    return np.cos(p["fac_AA"] * angles.azimuth) ** p["exp_cos_AA"]


def _best(total: np.ndarray, norm: np.ndarray) -> np.ndarray:
    """Largest mean over all j and k, of sums and numbers of shape (sites, j, k)."""
    return np.max(total / np.where(norm > 0, norm, 1), axis=(1, 2))


def _bent(angles: PolarAngles, p: Parameters) -> np.ndarray:
    """Agreement of the angle between two neighbours."""
    return _bell(angles.polar[:, 0, 1], p["TA"], p["IGW_TA"])


def _around_pole(angles: PolarAngles, agreement: np.ndarray, wave: np.ndarray) -> np.ndarray:
    """Motifs without a neighbour at the south pole, from the agreement of polar angles, shape (sites, j, other)."""
    total = agreement * angles.others + (wave * agreement[:, :, None] * angles.both).sum(axis=3)
    return _best(total, angles.others + angles.both.sum(axis=3))


def _pyramid(angles: PolarAngles, p: Parameters) -> np.ndarray:
    """Neighbours in the equatorial plane."""
    return _around_pole(angles, _bell(angles.polar, 0.5, p["IGW_EP"]), _wave(angles, p))


def _target_angle(angles: PolarAngles, p: Parameters) -> np.ndarray:
    """Neighbours at one angle from each other."""
    return _around_pole(angles, _bell(angles.polar, p["TA"], p["IGW_TA"]), _wave(angles, p))


def _pentagon(angles: PolarAngles, p: Parameters) -> np.ndarray:
    """Neighbours at 72 and 144 degrees in one plane."""
    target = np.where(angles.polar <= p["TA"] * np.pi, 0.4, 0.8)
    return _around_pole(angles, _bell(angles.polar, target, p["IGW_TA"]), np.cos(angles.azimuth) ** 2)


def _two_poles(
    angles: PolarAngles, p: Parameters, agreement: np.ndarray | None = None, widest: float = np.inf
) -> np.ndarray:
    """Motifs with neighbours at both poles and, unless there is another `agreement`, in the equatorial plane.

    Neighbours with an azimuth from `widest` on do not count.
    """
    agreement = _bell(angles.polar, 0.5, p["IGW_EP"]) if agreement is None else agreement
    south = angles.polar >= p["min_SPP"]
    north = ~south & angles.others
    at_south = angles.meridian & south[:, :, None]
    around = angles.both & north[:, :, :, None] & north[:, :, None] & (angles.azimuth < widest)
    total = agreement * north + (_bell(angles.polar, 1, p["IGW_SPP"])[:, :, None] * at_south).sum(axis=3)
    total += (_wave(angles, p) * agreement[:, :, None] * around).sum(axis=3)
    return _best(total, north + at_south.sum(axis=3) + around.sum(axis=3))


def _hexagon(angles: PolarAngles, p: Parameters) -> np.ndarray:
    """Neighbours at multiples of 60 degrees in one plane."""
    from_plane = np.abs(angles.polar / np.pi - 0.5)
    return _two_poles(angles, p, np.exp(-0.5 * np.square(p["IGW_TA"] * (from_plane - p["TA"]))))


def _body_centred_cubic(angles: PolarAngles, p: Parameters) -> np.ndarray:
    """Corners of a cube (Peters, J. Chem. Phys. 131, 244103 (2009)); of two neighbours j is the first in order."""
    number = angles.polar.shape[1]
    ascending = np.triu(np.ones((number, number), dtype=bool), 1)
    south = (angles.polar >= p["min_SPP"]) & ascending
    rest = (angles.polar < p["min_SPP"]) & ascending
    height = (angles.polar - np.pi / 2) / np.arcsin(1 / 3)
    shape = np.exp(0.5) * height * np.exp(-0.5 * np.square(height))
    hemisphere = np.where(angles.polar > np.pi / 2, 1, -1) * rest
    azimuthal = (np.cos(3 * angles.azimuth) * shape[:, :, None] * angles.both).sum(axis=3)
    total = p["w_SPP"] * _bell(angles.polar, 1, p["IGW_SPP"]) * south + hemisphere * azimuthal
    return total.sum(axis=(1, 2)) / (number * (6 + (number - 2) * (number - 3)) / 2)


def _cuboctahedron(angles: PolarAngles, p: Parameters) -> np.ndarray:
    """Neighbours at the poles, four in the equatorial plane, and three on either side of it at 60 degrees."""
    polar, low, high = angles.polar, p[4], p[2]
    opposite = (polar >= p["min_SPP"]) & angles.others
    equator = (low < polar) & (polar < high)
    counted = angles.both & equator[:, :, :, None] & (polar < p["min_SPP"])[:, :, None]
    tilt = np.exp(-0.5 * np.square(0.0556 * (np.cos(angles.azimuth - np.pi / 2) - 0.81649658)))
    regions = (
        (equator, np.cos(angles.azimuth) ** 2, _bell(polar, 0.5, p[5])),
        (polar < low, tilt, _bell(polar, 1 / 3, p[6])),
        (polar > high, tilt, _bell(polar, 2 / 3, p[6])),
    )
    total = p["w_SPP"] * _bell(polar, 1, p["IGW_SPP"]) * opposite
    norm = p["w_SPP"] * opposite
    for region, wave, agreement in regions:
        inside = counted & region[:, :, None]
        total = total + (wave * agreement[:, :, None] * inside).sum(axis=3)
        norm = norm + inside.sum(axis=3)
    return _best(total, norm)


def _bond_orientation(angles: PolarAngles, _: Parameters, degree: int) -> np.ndarray:
    """Steinhardt's q of a degree, by the addition theorem of spherical harmonics."""
    return np.sqrt(np.maximum(eval_legendre(degree, angles.cosines).mean(axis=(1, 2)), 0))


FUNCTIONS: dict[str, Callable[[PolarAngles, Parameters], np.ndarray]] = {
    "sgl_bd": lambda angles, _: np.ones(len(angles.polar)),  # a single neighbour is a bond, whatever its distance
    "bent": _bent,
    **dict.fromkeys(("T", "tri_pyr", "sq_pyr", "pent_pyr", "hex_pyr"), _pyramid),
    **dict.fromkeys(("tri_plan_max", "tet_max"), _target_angle),
    "pent_plan_max": _pentagon,
    **dict.fromkeys(("sq_plan_max", "oct_max", "tri_bipyr", "pent_bipyr", "hex_bipyr"), _two_poles),
    "see_saw_rect": partial(_two_poles, widest=0.75 * np.pi),
    "hex_plan_max": _hexagon,
    "bcc": _body_centred_cubic,
    "cuboct_max": _cuboctahedron,
    **{f"q{degree}": partial(_bond_orientation, degree=degree) for degree in (2, 4, 6)},
}
"""Order parameters by their kind in pymatgen."""
