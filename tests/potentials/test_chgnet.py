"""CHGNet against its package's own calculator; all but one need the extra `chgnet`."""

import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from tests.support.potentials import MOS, SAME_FORCE, as_reference, rattled

VERSIONS = ("0.3.0", "0.2.0", "r2scan")


def own_calculator(**choice):
    """The package's calculator, with a version of the package or a checkpoint file."""
    from chgnet.model import CHGNet, CHGNetCalculator

    load = CHGNet.load if "model_name" in choice else CHGNet.from_file
    options = {"use_device": "cpu", "verbose": False} if "model_name" in choice else {}
    return CHGNetCalculator(load(**choice, **options), use_device="cpu")


def untrained(path, is_intensive, composition_model=None):
    """A checkpoint of a small CHGNet."""
    pytest.importorskip("chgnet")
    from chgnet.model import CHGNet

    torch.manual_seed(0)
    model = CHGNet(
        atom_fea_dim=8, bond_fea_dim=8, angle_fea_dim=8, is_intensive=is_intensive, composition_model=composition_model
    )
    torch.save({"model": model.as_dict()}, path)
    return str(path)


def test_chgnet_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "chgnet", None)
    with pytest.raises(CryinGANError, match="pip install chgnet"):
        load_potential("chgnet")


@pytest.mark.parametrize("version", VERSIONS)
def test_energies_and_forces_are_those_of_the_package(version, caplog):
    pytest.importorskip("chgnet")
    far = Atoms("Ar", cell=[15] * 3, pbc=True)
    frames = [rattled(MOS.repeat((2, 1, 1))), bulk("NaCl", "rocksalt", a=5.7), MOS, far]
    potential = load_potential("chgnet", version)
    assert "not verified" not in caplog.text
    assert [len(reference.atoms) for reference in potential.card.references] == [2, 2]
    energies, forces = potential.evaluate(frames)
    for frame, energy, force in zip(frames[:3], energies, forces, strict=False):
        frame.calc = own_calculator(model_name=version)
        assert energy == pytest.approx(frame.get_potential_energy(), abs=2e-5 * len(frame))
        np.testing.assert_allclose(force, frame.get_forces(), atol=SAME_FORCE)
        frame.calc = None


def test_wrong_references_of_packaged_weights_are_refused():
    pytest.importorskip("chgnet")
    with pytest.raises(CryinGANError, match=r"CHGNet-0\.3\.0: .*-11\.30.*card: -9\.0"):
        load_potential("chgnet", references=[as_reference(MOS, -9.0)])


@pytest.mark.parametrize("is_intensive", [True, False])
def test_energies_per_atom_or_per_structure(is_intensive, tmp_path, caplog):
    path = untrained(tmp_path / "mine.pth.tar", is_intensive)
    frames = [rattled(MOS.repeat((2, 1, 1))), MOS]
    potential = load_potential("chgnet", path)
    assert "mine.pth.tar: not verified" in caplog.text
    energies, forces = potential.evaluate(frames)
    for frame, energy, force in zip(frames, energies, forces, strict=True):
        frame.calc = own_calculator(path=path)
        assert energy == pytest.approx(frame.get_potential_energy(), rel=1e-5)
        np.testing.assert_allclose(force, frame.get_forces(), atol=SAME_FORCE)
    assert potential.evaluate([MOS.repeat(2)])[0][0] == pytest.approx(8 * potential.evaluate([MOS])[0][0], rel=1e-4)


def test_a_composition_model_on_another_scale_is_refused(tmp_path):
    path = untrained(tmp_path / "mixed.pth.tar", False, "MPtrj")
    with pytest.raises(CryinGANError, match="per structure, its composition model per atom"):
        load_potential("chgnet", path)
