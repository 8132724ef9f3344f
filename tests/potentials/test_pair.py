"""The pair potential: its formula; what it shares with the others is in test_contract."""

import numpy as np
import pytest
from ase import Atoms

from cryingan.potentials.potential import load_potential


def test_energy_by_hand():
    radii = {"Li": 0.9, "O": 1.3}
    potential = load_potential("pair", depth=0.7, stiffness=1.2, cutoff=4.0, radii=radii)
    far_cell = Atoms("LiO", positions=[[0, 0, 0], [3.0, 0, 0]], cell=[20] * 3, pbc=True)
    x = np.exp(-1.2 * (3.0 - 2.2))
    (energy,), _ = potential.evaluate([far_cell])
    assert energy == pytest.approx(0.7 * (x**2 - 2 * x) * (1 - (3 / 4) ** 2) ** 3, rel=1e-12)


def test_it_is_smooth_at_its_cutoff_and_finite_at_zero():
    potential = load_potential("pair", cutoff=5.0)
    frames = [Atoms("Cu2", positions=[[0, 0, 0], [r, 0, 0]], cell=[30] * 3, pbc=True) for r in (4.999, 5.0, 5.001, 0)]
    energies, forces = potential.evaluate(frames)
    assert np.abs(energies[:3]).max() < 1e-9
    assert np.abs(forces[:3]).max() < 1e-6
    assert np.isfinite(energies[3])
    assert (forces[3] == 0).all()


def test_the_hash_names_the_settings():
    assert len({load_potential("pair", depth=depth).card.hash for depth in (0.4, 0.5, 0.5)}) == 2
    assert load_potential("pair").card.hash != load_potential("pair", radii={"Cu": 1.25}).card.hash
