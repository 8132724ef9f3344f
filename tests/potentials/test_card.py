"""References of a potential: read, and compared when it is loaded."""

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.potentials.card import parse_references
from cryingan.potentials.potential import load_potential
from tests.support.potentials import MOS, as_reference


def test_a_reference_is_a_structure_and_its_energy():
    (reference,) = parse_references([as_reference(MOS, -10.8, 0.1)])
    assert (reference.energy, reference.tolerance) == (-10.8, 0.1)
    assert reference.atoms.get_chemical_formula() == "MoS"
    assert reference.atoms.pbc.all()
    np.testing.assert_allclose(reference.atoms.positions, MOS.positions, atol=1e-12)
    np.testing.assert_array_equal(reference.atoms.cell, MOS.cell)


@pytest.mark.parametrize("change", [{"energy": "much"}, {"tolerance": None}, "cell"], ids=str)
def test_what_is_no_reference_is_one_clear_line(change):
    entry = as_reference(MOS, -10.8)
    entry = {**entry, **change} if isinstance(change, dict) else {key: entry[key] for key in entry if key != change}
    with pytest.raises(CryinGANError, match="a reference needs symbols, fractional, cell, energy") as caught:
        parse_references([entry])
    assert "\n" not in str(caught.value)


def test_energies_are_compared_with_their_tolerance():
    (energy,), _ = load_potential("pair").evaluate([MOS])
    load_potential("pair", references=[as_reference(MOS, energy + 0.09, 0.1)])
    with pytest.raises(CryinGANError, match=rf"MoS {energy:.6f} eV \(card: {energy + 0.11:.6f}\): wrong weights or"):
        load_potential("pair", references=[as_reference(MOS, energy + 0.11, 0.1)])
