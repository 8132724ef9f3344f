"""Order parameters against pymatgen's LocalStructOrderParams, and of ideal polyhedra."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.analysis.local_env import CN_OPT_PARAMS, LocalStructOrderParams
from pymatgen.core import Lattice, PeriodicSite
from scipy.spatial.transform import Rotation

from cryingan.errors import CryinGANError
from cryingan.metrics.motifs.order_parameters import MOTIFS, order_parameters

BOX = Lattice.cubic(50)


def polygon(corners, z=0.0, start=0.0):
    angle = start + 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angle), np.sin(angle), np.full(corners, z)], axis=1)


POLES = np.array([[0, 0, 1.0], [0, 0, -1]])
CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
TETRAHEDRON = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]], dtype=float)
FCC = np.array([p for p in np.ndindex(3, 3, 3) if sorted(np.abs(np.subtract(p, 1))) == [0, 1, 1]], dtype=float) - 1
BENT = {"L-shaped": 90, "water-like": 104.45, "bent 120 degrees": 120, "bent 150 degrees": 150, "linear": 180}
IDEAL = {
    **{(name, 2): np.array([[1, 0, 0], [np.cos(np.radians(t)), np.sin(np.radians(t)), 0]]) for name, t in BENT.items()},
    ("trigonal planar", 3): polygon(3),
    ("trigonal non-coplanar", 3): TETRAHEDRON[:3],
    ("T-shaped", 3): np.array([[1, 0, 0], [-1, 0, 0], [0, 1.0, 0]]),
    ("square co-planar", 4): polygon(4),
    ("tetrahedral", 4): TETRAHEDRON,
    ("rectangular see-saw-like", 4): np.concatenate([POLES, np.eye(3)[:2]]),
    ("see-saw-like", 4): np.concatenate([POLES, polygon(3)[:2]]),
    ("trigonal pyramidal", 4): np.concatenate([POLES[:1], polygon(3)]),
    ("pentagonal planar", 5): polygon(5),
    ("square pyramidal", 5): np.concatenate([POLES[:1], polygon(4)]),
    ("trigonal bipyramidal", 5): np.concatenate([POLES, polygon(3)]),
    ("hexagonal planar", 6): polygon(6),
    ("octahedral", 6): np.concatenate([POLES, polygon(4)]),
    ("pentagonal pyramidal", 6): np.concatenate([POLES[:1], polygon(5)]),
    ("hexagonal pyramidal", 7): np.concatenate([POLES[:1], polygon(6)]),
    ("pentagonal bipyramidal", 7): np.concatenate([POLES, polygon(5)]),
    ("body-centered cubic", 8): CUBE,
    ("hexagonal bipyramidal", 8): np.concatenate([POLES, polygon(6)]),
    ("cuboctahedral", 12): FCC,
}


def in_pymatgen(vectors):
    """Order parameters of one site's neighbours, as matminer would call for them."""
    cn = len(vectors)
    sites = [PeriodicSite("Si", vector, BOX, coords_are_cartesian=True) for vector in [np.zeros(3), *vectors]]
    values = []
    for motif in MOTIFS[cn]:
        kind, *parameters = CN_OPT_PARAMS.get(cn, {}).get(motif, [motif])
        order = LocalStructOrderParams([kind], parameters=parameters or None)
        values += order.get_order_parameters(sites, 0, list(range(1, cn + 1)))
    return [value or 0 for value in values]


def test_motifs_are_those_with_parameters():
    named = {cn: set(motifs) for cn, motifs in CN_OPT_PARAMS.items()}
    assert {cn: set(motifs) - {"q2", "q4", "q6", "sgl_bd"} for cn, motifs in MOTIFS.items()} == {
        cn: named.get(cn, set()) for cn in range(1, 13)
    }


@pytest.mark.parametrize("cn", MOTIFS)
def test_random_neighbors(cn):
    vectors = np.random.default_rng(cn).normal(size=(6, cn, 3))
    np.testing.assert_allclose(order_parameters(vectors), [in_pymatgen(site) for site in vectors], atol=1e-9)


@pytest.mark.parametrize("spread", [0, 1e-9, 1e-3, 0.1, 0.3])
def test_neighbors_near_ideal_shapes(spread):
    """Every ideal shape of a coordination number, turned, of unlike distances, distorted."""
    rng = np.random.default_rng(7)
    for (_, cn), shape in IDEAL.items():
        turned = Rotation.random(rng=rng).apply(shape / np.linalg.norm(shape, axis=1)[:, None])
        vectors = turned * rng.uniform(1.5, 3, (cn, 1)) + rng.normal(0, spread, (cn, 3))
        np.testing.assert_allclose(order_parameters(vectors[None])[0], in_pymatgen(vectors), atol=1e-6)


@pytest.mark.parametrize("motif", IDEAL)
def test_ideal_shape_is_alike(motif):
    name, cn = motif
    value = order_parameters(IDEAL[motif][None])[0, MOTIFS[cn].index(name)]
    # Cubic's maximum is not 1: pymatgen's norm is that of another reference structure.
    assert value == pytest.approx(in_pymatgen(IDEAL[motif])[MOTIFS[cn].index(name)], abs=1e-9)
    if name not in ("body-centered cubic", "cuboctahedral"):
        assert value == pytest.approx(1, abs=1e-3)
    assert value > 0.9


def test_known_steinhardt_parameters():
    """Of the twelve neighbours in fcc: q4 = 0.1909, q6 = 0.5745 (Steinhardt et al., Phys. Rev. B 28, 784)."""
    np.testing.assert_allclose(order_parameters(FCC[None])[0, 1:], [0, 0.19094, 0.57452], atol=1e-5)


@pytest.mark.parametrize("cn", [cn for cn in MOTIFS if cn != 8])
def test_order_of_neighbors_does_not_count(cn):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(3, cn, 3))
    np.testing.assert_allclose(order_parameters(vectors[:, rng.permutation(cn)]), order_parameters(vectors), atol=1e-12)


def test_sites_do_not_touch_each_other():
    vectors = np.random.default_rng(2).normal(size=(5, 6, 3))
    one_by_one = np.concatenate([order_parameters(site[None]) for site in vectors])
    np.testing.assert_allclose(order_parameters(vectors), one_by_one, atol=1e-14)
    assert order_parameters(vectors[:0]).shape == (0, 3)


def test_neighbors_in_one_direction():
    """Angles of 0 have no azimuth."""
    vectors = np.array([[1.0, 0, 0], [2, 0, 0], [0, 1, 0], [0, -1, 0]])
    np.testing.assert_allclose(order_parameters(vectors[None])[0], in_pymatgen(vectors), atol=1e-9)


def test_neighbor_on_the_centre():
    with pytest.raises(CryinGANError, match="on its centre"):
        order_parameters(np.zeros((1, 2, 3)))
