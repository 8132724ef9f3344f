"""Which message convention an M3GNet is loaded with, and what its card says of that."""

import json
import shutil

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from cryingan.energies.training_energies import training_energies
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.settings import RelaxSettings
from cryingan.structures.crystals import Crystals
from tests.support.potentials import (
    MOS,
    MOS_ENERGY,
    PUBLISHED_M3GNET,
    REFERENCE_TOLERANCE,
    as_reference,
    needs_weights,
)
from tests.support.relaxations import here

AS_LOADED = -7.45390  # eV, MoS as matgl 3 and later give it with the published weights
SHIFT = 1.0  # eV, by which our changed copy of the published weights differs
pytestmark = needs_weights


@pytest.fixture
def unknown(tmp_path):
    """Weights that nobody has published: the published ones with another mean."""
    folder = tmp_path / "unknown"
    folder.mkdir()
    shutil.copy(PUBLISHED_M3GNET / "model.pt", folder)
    state = torch.load(PUBLISHED_M3GNET / "state.pt", map_location="cpu", weights_only=True)
    torch.save({**state, "data_mean": state["data_mean"] + SHIFT}, folder / "state.pt")
    return folder


@pytest.fixture
def both(unknown):
    """The same weights in both conventions."""
    energies = {"source": AS_LOADED + SHIFT, "destination": MOS_ENERGY + SHIFT}
    references = {name: [as_reference(MOS, energy)] for name, energy in energies.items()}
    return {name: load_potential("m3gnet", str(unknown), references=entry) for name, entry in references.items()}


def test_references_choose_the_convention(both, unknown, caplog):
    caplog.set_level("INFO")
    for convention, energy in (("source", AS_LOADED), ("destination", MOS_ENERGY)):
        potential = both[convention]
        assert potential.evaluate([MOS])[0][0] == pytest.approx(energy + SHIFT, abs=REFERENCE_TOLERANCE)
        load_potential(**potential.spec)
        assert f"{convention} atom" in caplog.text
    with pytest.raises(CryinGANError, match=r"neither .*source: MoS -6\.4539.*destination: MoS -9\.8243"):
        load_potential("m3gnet", str(unknown), references=[as_reference(MOS, -9.0)])
    with pytest.raises(CryinGANError, match="both of the message conventions"):
        load_potential("m3gnet", str(unknown), references=[as_reference(bulk("Si"), -9.8, 1.0)])


def test_the_same_weights_in_two_conventions_are_two_potentials(both, tmp_path):
    crystals = Crystals.from_ase([MOS])
    source, destination = both["source"], both["destination"]
    assert source.weights == destination.weights
    assert source.card.hash != destination.card.hash
    for potential, energy in ((source, AS_LOADED), (destination, MOS_ENERGY)):
        kept = training_energies(crystals, potential, tmp_path / "cache", RelaxSettings(backend="serial"))
        assert kept[0] == pytest.approx((energy + SHIFT) / 2, abs=REFERENCE_TOLERANCE)
    here(crystals, source, output=tmp_path / "relaxed", max_steps=0)
    with pytest.raises(CryinGANError, match="other potential"):
        here(crystals, destination, output=tmp_path / "relaxed", max_steps=0)
    assert load_potential(**source.spec).card == source.card


def test_published_weights_always_reproduce_what_was_published(tmp_path):
    folder = tmp_path / "M3GNet"
    shutil.copytree(PUBLISHED_M3GNET, folder)
    assert load_potential("m3gnet", str(folder)).card.name == "M3GNet-MP-2021.2.8-PES"
    wrong = {"name": "mine", "references": [as_reference(MOS, AS_LOADED)]}
    (folder / "card.json").write_text(json.dumps(wrong))
    for references in ([], [as_reference(MOS, AS_LOADED)]):
        with pytest.raises(CryinGANError, match=r"neither .*-7\.4539.*-10\.824360.*-10\.82436.*card: -7\.4539"):
            load_potential("m3gnet", str(folder), references=references)
    silent = {"name": "mine", "references": [as_reference(bulk("Si"), -10.8, 1.0)]}
    (folder / "card.json").write_text(json.dumps(silent))
    potential = load_potential("m3gnet", str(folder))
    assert potential.evaluate([MOS])[0][0] == pytest.approx(MOS_ENERGY, abs=REFERENCE_TOLERANCE)
    assert [len(reference.atoms) for reference in potential.card.references] == [2, 2, 2]


def test_write_card(unknown):
    from cryingan.potentials.m3gnet.potential import write_card

    with pytest.raises(CryinGANError, match=r"no card\.json.*matgl 3 or later.*write_card.*older ones"):
        load_potential("m3gnet", str(unknown))
    with pytest.raises(CryinGANError, match=r"same energies in both message conventions.*several elements"):
        write_card(unknown, "mine", [Atoms("He", cell=[15] * 3, pbc=True)])
    assert not (unknown / "card.json").exists()
    card = write_card(unknown, "mine", [MOS])
    torch.manual_seed(1)
    potential = load_potential("m3gnet", str(unknown))
    drawn = torch.rand(1)
    assert potential.card == card
    assert potential.evaluate([MOS])[0][0] == pytest.approx(AS_LOADED + SHIFT, abs=REFERENCE_TOLERANCE)
    assert drawn == torch.rand(1, generator=torch.manual_seed(1)), "loading disturbs the random numbers of a training"
    content = json.loads((unknown / "card.json").read_text())
    (unknown / "card.json").write_text(json.dumps({**content, "hash": "0" * 64}))
    with pytest.raises(CryinGANError, match="card of other weights: 000000000000"):
        load_potential("m3gnet", str(unknown))


def test_write_card_keeps_the_convention_that_is_known(tmp_path, unknown):
    from cryingan.potentials.m3gnet.potential import write_card

    shutil.copytree(PUBLISHED_M3GNET, tmp_path / "published")
    older = {"name": "older", "references": [as_reference(MOS, MOS_ENERGY + SHIFT)]}
    (unknown / "card.json").write_text(json.dumps(older))
    for folder, energy in ((tmp_path / "published", MOS_ENERGY), (unknown, MOS_ENERGY + SHIFT)):
        card = write_card(folder, "mine", [MOS])
        assert load_potential("m3gnet", str(folder)).card == card
        written = json.loads((folder / "card.json").read_text())["references"]
        np.testing.assert_allclose([entry["energy"] for entry in written], [energy], atol=REFERENCE_TOLERANCE)
