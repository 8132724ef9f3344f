"""The region of an interface: of the card beside the reference, or as it is given."""

import logging

import numpy as np
import pytest
from ase import Atoms

from cryingan.energies.data_card import read_data_card
from cryingan.errors import CryinGANError
from cryingan.evaluation.evaluate import evaluate
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures

SETTINGS = {"species": ["Li"], "anions": ["Cl"], "oxidation_states": {"Li": 1, "Cl": -1}}


@pytest.fixture
def reference(tmp_path):
    """Rattled LiCl of two cells with a card."""
    atoms = Atoms("Li4Cl4", cell=[5.14] * 3, pbc=True)
    atoms.set_scaled_positions(np.array([[x, y, z] for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)])[SALT])
    noise = np.random.default_rng(0).normal(0, 0.01, (6, 8, 3))
    crystals = Crystals((atoms.get_scaled_positions() + noise) % 1.0, atoms.cell, tuple(atoms.symbols))
    path = tmp_path / "licl.extxyz"
    write_structures(crystals, path)
    return path


SALT = [0, 3, 5, 6, 1, 2, 4, 7]  # Li on one sublattice, Cl on the other


def scores(reference, **settings):
    return evaluate(reference, reference, "interface", processes=1, progress=False, **SETTINGS, **settings)


def test_region_of_the_card_is_scored_and_said(reference, caplog):
    card = reference.with_name("licl.card.yaml")
    without = scores(reference)
    assert without.provenance["settings"]["region"] is None
    assert not any(name.endswith("_region") for name in without.values)

    card.write_text("kind: interface\nregion: [0.25, 0.75]\n")
    with caplog.at_level(logging.INFO):
        found = scores(reference)
    assert "benchmark.region=[0.25,0.75], from its card" in caplog.text
    assert found.provenance["settings"]["region"] == [0.25, 0.75]
    assert found.values.keys() > without.values.keys()
    assert (
        found.values["d_all_region"].value == scores(reference, region=[0.25, 0.75]).values["d_all_region"].value >= 0
    )
    assert scores(reference, region=[0.1, 0.6]).provenance["settings"]["region"] == [0.1, 0.6]
    assert scores(reference, region=[]).provenance == without.provenance


@pytest.mark.parametrize("region", ["[0.2]", "[0.2, x]", "0.2", "[0.1, 0.2, 0.3]"])
def test_region_of_a_card_that_is_none(reference, region):
    card = reference.with_name("licl.card.yaml")
    card.write_text(f"kind: interface\nregion: {region}\n")
    with pytest.raises(CryinGANError, match=r"licl.card.yaml: region: .* must be \[low, high\]"):
        read_data_card(reference)
