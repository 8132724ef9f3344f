import numpy as np
import pytest
from ase.build import bulk
from scipy.optimize import minimize_scalar

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from data.interface.assembly import assemble
from data.interface.bulk import prepared_crystals, relax_crystal, stress
from data.interface.region import random_positions
from data.interface.surfaces import make_slab, surface_cell
from data.interface.systems import Region
from tests.support.bulk_crystals import LI2O, LICL, LSC, made_crystal, slab, small_system

RADII = {"Li": 0.8, "O": 1.2, "Cl": 1.7}


@pytest.fixture(scope="module")
def pair():
    return load_potential("pair", radii=RADII)


def test_stress_is_that_of_a_calculator():
    from ase.calculators.emt import EMT

    potential = load_potential("ase", calculator="ase.calculators.emt.EMT")
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.rattle(0.1, seed=1)
    atoms.set_cell(np.asarray(atoms.cell) @ [[1.02, 0.01, 0], [0, 0.99, 0.02], [0, 0, 1.01]], scale_atoms=True)
    found = stress(atoms, potential)
    atoms.calc = EMT()
    np.testing.assert_allclose(found, atoms.get_stress(), atol=1e-4)


def test_relaxed_lattice_constant_is_that_of_least_energy(pair):
    start = made_crystal(LICL)

    def energy(constant):
        atoms = start.copy()
        atoms.set_cell([constant] * 3, scale_atoms=True)
        return pair.evaluate([atoms])[0][0]

    best = minimize_scalar(energy, bounds=(4.5, 5.6), method="bounded", options={"xatol": 1e-6}).x
    relaxed = relax_crystal(start, pair)
    np.testing.assert_allclose(relaxed.cell.cellpar(), [best] * 3 + [90] * 3, rtol=1e-4)


def test_low_symmetry_is_kept(pair):
    crystal = made_crystal(LSC)
    potential = load_potential("pair", radii={"Li": 0.8, "Sc": 0.8, "Cl": 1.6})
    relaxed = relax_crystal(crystal, potential)
    alpha, beta, gamma = relaxed.cell.angles()
    assert (alpha, gamma) == pytest.approx((90, 90), abs=1e-6)
    assert abs(beta - 90) > 1
    [forces] = potential.evaluate([relaxed])[1]
    assert np.abs(forces).max() < 2e-3
    assert np.abs(stress(relaxed, potential)).max() < 1e-3


def test_crystals_are_relaxed_once(pair, tmp_path):
    system = small_system()
    first = prepared_crystals(system, pair, tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files) == 2
    second = prepared_crystals(system, pair, tmp_path)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize(
    ("crystal", "miller", "area"),
    [
        (LICL, (1, 0, 0), 5.14**2 / 2),
        (LICL, (0, 0, 2), 5.14**2 / 2),
        (LICL, (1, 1, 0), 5.14**2 / 2**0.5),
        (LICL, (1, 1, 1), 5.14**2 * 3**0.5 / 4),
        (LICL, (2, 1, 0), 5.14**2 * 5**0.5 / 2),
        (LI2O, (-1, 1, 1), 4.619**2 * 3**0.5 / 4),
        (LSC, (1, 0, 0), 11.04 * 6.391),
        (LSC, (0, 1, 0), 6.398 * 6.391 * np.sin(np.radians(109.89))),
        (LSC, (0, 0, 1), 11.04 * 6.398 / 2),
    ],
)
def test_surface_cell_is_primitive_and_the_same_crystal(crystal, miller, area):
    conventional = made_crystal(crystal)
    cell = surface_cell(conventional, miller)
    assert np.linalg.norm(np.cross(*cell.cell[:2])) == pytest.approx(area)
    assert np.abs(np.asarray(cell.cell)[:2, 2]).max() < 1e-10
    assert cell.get_volume() / len(cell) == pytest.approx(conventional.get_volume() / len(conventional))
    potential = load_potential("pair", radii={"Li": 0.8, "Sc": 0.9, "O": 1.2, "Cl": 1.7})
    energies, _ = potential.evaluate([cell, conventional])
    assert energies[0] / len(cell) == pytest.approx(energies[1] / len(conventional))


def test_too_large_indices_are_refused():
    with pytest.raises(CryinGANError, match=r"miller: \[7, 1, 0\] are too large"):
        surface_cell(bulk("Po", "sc", a=3.35, cubic=True), [7, 1, 0])


def test_slab_without_formal_charges_says_so(capsys):
    made = make_slab(bulk("Cu", cubic=True), slab(LICL, (1, 0, 0), 3), True)
    assert len(made.atoms) == 3
    assert capsys.readouterr().err == "Cu(100): no formal charges are known, so its dipole is not checked\n"


def test_neutral_slab_has_no_dipole_and_two_like_ends():
    crystal = made_crystal(LI2O)
    cut = make_slab(crystal, slab(LI2O, (1, 0, 0), 7, facing="O", neutralise=True), True)
    assert cut.moved == ("Li",)
    heights, symbols = cut.atoms.positions[:, 2], np.array(cut.atoms.get_chemical_symbols())
    step = 4.619 / 4
    np.testing.assert_allclose(np.unique(heights.round(6)), step * np.arange(6), atol=1e-5)
    charges = np.where(symbols == "Li", 1, -2)
    moved = 1 * 6 * step  # the lithium that faces the other slab, where the next layer of the crystal would be
    assert (charges * heights).sum() + moved == pytest.approx(0, abs=1e-6)
    assert charges.sum() + 1 == 0


def test_random_atoms_keep_their_distances_and_stay_between_the_slabs():
    system = small_system()
    interface = assemble(system, *(made_crystal(side.crystal) for side in (system.substrate, system.film)))
    least, low, high = system.region.minimum_distances, *interface.bounds
    for number in range(5):
        [atoms] = interface.structures(3, range(number, number + 1)).to_ase()
        placed = random_positions(
            interface.slabs, interface.random, interface.bounds, system.region, np.random.default_rng([3, number])
        )
        assert ((placed[:, 2] >= low) & (placed[:, 2] <= high)).all()
        distances, symbols = atoms.get_all_distances(mic=True), atoms.get_chemical_symbols()
        for position, element in zip(placed, interface.random, strict=True):
            wrapped = atoms.cell.cartesian_positions(atoms.cell.scaled_positions(position) % 1)
            apart = np.linalg.norm(atoms.positions - wrapped, axis=1)
            index = int(apart.argmin())
            assert apart[index] < 1e-6
            assert symbols[index] == element
            for other in np.delete(np.arange(len(atoms)), index):
                pair = {f"{element}-{symbols[other]}", f"{symbols[other]}-{element}"} & set(least)
                assert distances[index, other] >= least[pair.pop()] - 1e-6


def test_structures_are_a_function_of_seed_and_number():
    system = small_system()
    interface = assemble(system, *(made_crystal(side.crystal) for side in (system.substrate, system.film)))
    together = interface.structures(0, range(6)).fractional
    np.testing.assert_array_equal(interface.structures(0, range(4, 6)).fractional, together[4:])
    assert len(np.unique(together.round(6), axis=0)) == 6
    assert np.abs(interface.structures(1, range(1)).fractional - together[:1]).max() > 0.01


def test_region_is_full_at_some_point():
    system = small_system(region=Region(9, 3.0, small_system().region.minimum_distances))
    interface = assemble(system, *(made_crystal(side.crystal) for side in (system.substrate, system.film)))
    with pytest.raises(CryinGANError, match=r"thickness \(3 Angstrom\)"):
        interface.structures(0, range(1))
