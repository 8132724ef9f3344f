"""The published mapping procedures against plain loops."""

import ase
import numpy as np
import pytest

from cryingan.metrics.alloy.fcc import SPECIES, VACANCY, fcc_sites
from cryingan.metrics.alloy.mapping import map_to_lattice
from tests.support.alloys import (
    ROUNDED,
    alloy_atoms,
    counts_of,
    loop_counts,
    random_occupations,
    rattled,
    turned_lattice,
)

CELL = 14.4
MARGIN = 0.8


def shortest(first, second):
    """Distances between points of the benchmark's cell, broadcast."""
    offset = np.subtract(first, second) / CELL
    return np.linalg.norm((offset - np.rint(offset)) * CELL, axis=-1)


def on_sites(atoms, shift):
    """Species on every site by plain loops: the nearest atom within the margin."""
    occupied = np.full(256, VACANCY)
    for site, place in enumerate(fcc_sites(4, 0.0) * CELL + shift):
        distances = shortest(place, atoms.positions)
        if distances.min() <= MARGIN:
            occupied[site] = SPECIES.index(atoms[int(distances.argmin())].symbol)
    return occupied


def defective(seed):
    """Noise, a shift, vacancies, an interstitial and atoms on one site."""
    rng = np.random.default_rng(seed)
    atoms = rattled(alloy_atoms(random_occupations(1, seed=seed)[0]), 0.06, seed)
    del atoms[rng.choice(256, 5, replace=False).tolist()]
    atoms.append(ase.Atom("Ni", atoms.positions[20] + [0.3, 0.5, 0.0]))
    atoms.append(ase.Atom("Cr", atoms.positions[90] + [1.8, 0.1, 0.0]))
    return atoms


def unit(vector):
    return vector / np.linalg.norm(vector)


def loop_axes(positions):
    """The first atom with six neighbours 3.2 to 4 Angstrom away, two at a right angle: cube axes, and which atom."""
    for atom, position in enumerate(positions):
        offsets = positions - position
        offsets -= CELL * np.rint(offsets / CELL)
        near = [v for v in offsets if 3.2 <= np.linalg.norm(v) <= 4.0]
        near.sort(key=lambda v: abs(np.linalg.norm(v) - 3.6))
        for other in near[1:] if len(near) == 6 else ():
            if abs(np.arccos(unit(near[0]) @ unit(other)) - np.pi / 2) <= 0.0175:
                return np.array([unit(near[0]), unit(other), unit(np.cross(near[0], other))]), atom
    return None, None


def loop_accepted(atoms):
    """Which atoms upstream's rotated mapping keeps, by plain loops."""
    positions = atoms.positions
    axes, atom = loop_axes(positions)
    sites = [x * 3 * CELL for x in (fcc_sites(12, 0.0) - 0.5) @ axes if (x - 1e-9 > -1 / 6).all()]
    sites = np.array([x + CELL / 2 for x in sites if (x <= CELL / 2 + 1e-9).all()])
    sites += positions[atom] - sites[shortest(sites, positions[atom]).argmin()]
    kept, leftovers = [], []
    for index, position in enumerate(positions):
        if shortest(sites, position).min() > MARGIN:
            leftovers.append(index)
        elif (shortest(positions[kept], position) > MARGIN).all():
            kept.append(index)
    added = True
    while added:
        added = False
        for index in leftovers[::-1]:
            steps = [positions[index] + sign * 3.6 * axis for axis in axes for sign in (1, -1)]
            beside = any((shortest(step, positions[kept]) <= MARGIN).any() for step in steps)
            if beside and (shortest(positions[kept], positions[index]) > MARGIN).all():
                kept.append(index)
                leftovers.remove(index)
                added = True
    return sorted(kept)


@pytest.mark.parametrize("seed", range(2))
def test_structure_as_it_is(seed):
    atoms = defective(seed)
    mapped = map_to_lattice(atoms, mapping="cryingan", compatible=True)
    np.testing.assert_array_equal(mapped.occupation, on_sites(atoms, 0.0))
    np.testing.assert_array_equal(mapped.counts, counts_of(mapped.occupation).round(5))
    assert mapped.vacancies == (mapped.occupation == VACANCY).sum() > 0


@pytest.mark.parametrize("seed", range(2))
def test_atom_nearest_to_the_origin_places_the_lattice(seed):
    atoms = defective(seed)
    atoms.positions += np.random.default_rng(seed).uniform(0, CELL, 3)
    shift = atoms.positions[shortest(atoms.positions, 1e-6 * CELL).argmin()]
    mapped = map_to_lattice(atoms, mapping="diffcsp", compatible=True)
    np.testing.assert_array_equal(mapped.occupation, on_sites(atoms, shift - 1e-6 * CELL))
    assert mapped.reason == ""


@pytest.mark.parametrize(("degrees", "seed"), [(None, 0), (None, 1), (3, 0), (20, 1)])
def test_first_suitable_atom_places_and_turns_the_lattice(degrees, seed):
    atoms = rattled(turned_lattice(degrees, seed)[0], 0.03) if degrees else defective(seed)
    kept = loop_accepted(atoms)
    mapped = map_to_lattice(atoms, mapping="cdvae", compatible=True)
    assert mapped.dropped == len(atoms) - len(kept)
    clean = atoms[sorted(kept, key=lambda index: SPECIES.index(atoms[index].symbol))]
    axes, _ = loop_axes(clean.positions)
    counts, empty = loop_counts(clean, 3.6 * axes, decimals=3, lengths=True)
    np.testing.assert_allclose(mapped.counts, counts, atol=ROUNDED)
    assert (mapped.vacancies > 0) == empty


@pytest.mark.parametrize("mapping", ["cryingan", "diffcsp"])
def test_noise_of_a_tenth_leaves_the_counts(mapping):
    kinds = random_occupations(1, seed=8)[0]
    for seed in range(5):
        mapped = map_to_lattice(rattled(alloy_atoms(kinds), 0.1, seed), mapping=mapping, compatible=True)
        np.testing.assert_array_equal(mapped.counts, counts_of(kinds).round(5))


def test_small_noise_leaves_the_counts_of_the_rotated_mapping():
    kinds = random_occupations(1, seed=8)[0]
    for seed in range(5):
        mapped = map_to_lattice(rattled(alloy_atoms(kinds), 0.03, seed), mapping="cdvae", compatible=True)
        np.testing.assert_allclose(mapped.counts, counts_of(kinds), atol=ROUNDED)
        assert (mapped.vacancies, mapped.reason) == (0, "")


def test_what_stops_upstream_is_a_reason():
    cell = CELL * np.eye(3)
    lonely = ase.Atoms("Fe", positions=[[7.2, 7.2, 7.2]], cell=cell, pbc=True)
    assert "origin" in map_to_lattice(lonely, mapping="diffcsp", compatible=True).reason
    assert "six neighbours" in map_to_lattice(lonely, mapping="cdvae", compatible=True).reason
    off = ase.Atoms("Fe", positions=[[1.8, 0, 0]], cell=cell, pbc=True)
    assert "no atom is within" in map_to_lattice(off, mapping="cryingan", compatible=True).reason


def test_only_the_rotated_mapping_rejects():
    atoms = alloy_atoms(random_occupations(1)[0])
    corner = (atoms.positions < 9).all(axis=1)  # leaves atoms with all their neighbours
    few = atoms[corner | (np.arange(256) % 3 == 0)]
    assert len(few) < 206
    for mapping in ("cryingan", "diffcsp"):
        assert map_to_lattice(few, mapping=mapping, compatible=True).reason == ""
        assert map_to_lattice(few, mapping=mapping).reason
    assert "removed" in map_to_lattice(few, mapping="cdvae", compatible=True).reason
