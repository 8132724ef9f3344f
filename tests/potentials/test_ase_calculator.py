"""Calculators of ASE: what identifies them, where they compute, and what they must not change."""

import importlib.metadata
import json
import shutil
import sys
from contextlib import suppress

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators import emt
from ase.calculators.calculator import Calculator, all_changes

from cryingan.potentials import ase_calculator as calculators
from cryingan.potentials.ase_calculator import OwnDefaultDtype
from cryingan.potentials.potential import load_potential
from cryingan.structures.crystals import Crystals
from tests.support.potentials import as_reference, rattled
from tests.support.relaxations import quietly

EMT = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}
HERE = "tests.potentials.test_ase_calculator"


class DoublePrecision(Calculator):
    """Sets torch's default dtype when it is made, and relies on it later, as calculators of published models do."""

    implemented_properties = ("energy", "forces")

    def __init__(self, device="cpu", fails=False):
        super().__init__()
        self.device, self.fails = torch.device(device), fails
        torch.set_default_dtype(torch.float64)

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.fails:
            raise RuntimeError("not converged")
        assert torch.get_default_dtype() == torch.float64
        self.results = {"energy": torch.tensor([0.1]).double().item(), "forces": np.zeros((len(atoms), 3))}


class Aware(Calculator):
    """Knows where it computes only from its argument."""

    implemented_properties = ("energy", "forces")

    def __init__(self, **arguments):
        super().__init__()


def test_energies_and_forces_are_those_of_the_calculator():
    frames = [rattled(bulk(element, cubic=True), seed) for seed, element in enumerate(["Cu", "Al"])]
    energies, forces = load_potential(**EMT).evaluate(frames)
    for frame, energy, force in zip(frames, energies, forces, strict=True):
        frame.calc = emt.EMT()
        assert energy == frame.get_potential_energy()
        np.testing.assert_array_equal(force, frame.get_forces())


def test_a_structure_that_a_calculator_cannot_do_touches_no_other():
    frames = [Atoms("Cu", positions=[[x, 0, 0]], cell=[4, 4, 4], pbc=True) for x in (0.0, 1.0, 0.2)]
    energies, forces = load_potential("ase", calculator="tests.support.deadly.MoodyCalculator").evaluate(frames)
    assert energies[[0, 2]].tolist() == [1.0, 1.0]
    assert np.isnan(energies[1])
    assert np.isnan(forces[1]).all()


def test_a_default_dtype_of_its_own(monkeypatch):
    own = OwnDefaultDtype()
    with own:
        assert torch.get_default_dtype() == torch.float32
        torch.set_default_dtype(torch.float64)
    assert torch.get_default_dtype() == torch.float32
    with own:
        assert torch.get_default_dtype() == torch.float64, "what was set inside is there again"
    with suppress(RuntimeError), own:
        raise RuntimeError
    assert torch.get_default_dtype() == torch.float32

    first = OwnDefaultDtype()  # in a process whose calculator imports torch
    monkeypatch.delitem(sys.modules, "torch")
    with first:
        monkeypatch.setitem(sys.modules, "torch", torch)
        torch.set_default_dtype(torch.float64)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("fails", [False, True])
def test_the_default_dtype_of_torch_stays(fails):
    assert torch.get_default_dtype() == torch.float32
    potential = load_potential("ase", calculator=f"{HERE}.DoublePrecision", arguments={"fails": fails})
    assert torch.get_default_dtype() == torch.float32
    energies, _ = potential.evaluate([bulk("Cu")])
    assert torch.get_default_dtype() == torch.float32
    np.testing.assert_equal(energies, [np.nan if fails else 0.1])  # 0.1 of float32 is another number
    torch.set_default_dtype(torch.float64)
    try:
        potential.evaluate([bulk("Cu")])
        assert torch.get_default_dtype() == torch.float64, "what the caller set stays"
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("calculator", "arguments", "device"),
    [
        ("Aware", {}, "cpu"),
        ("Aware", {"device": "cuda:1"}, "cuda:1"),
        ("Aware", {"use_device": "cuda"}, "cuda"),
        ("Aware", {"device": 7}, "cpu"),
        ("DoublePrecision", {"device": "meta"}, "cpu"),
        ("DoublePrecision", {"device": "cuda"}, "cuda"),
    ],
)
def test_the_device_is_that_of_the_calculator(calculator, arguments, device):
    potential = load_potential("ase", calculator=f"{HERE}.{calculator}", arguments=arguments)
    assert potential.device == device


def test_a_calculator_on_a_gpu_has_no_copies_in_other_processes(monkeypatch):
    potential = load_potential(**EMT)
    crystals = Crystals.from_ase([bulk("Cu", cubic=True)])
    monkeypatch.setattr("cryingan.relaxation.relax.relax_in_workers", None)
    monkeypatch.setattr(potential, "device", "cuda:0")
    assert len(quietly(crystals, potential, processes=2, max_steps=1)) == 1


def test_the_hash_names_calculator_arguments_and_version(monkeypatch, tmp_path):
    hashes = {load_potential(**EMT).card.hash}
    assert hashes == {load_potential(**EMT).card.hash}
    hashes.add(load_potential(**EMT, arguments={"fixed_cutoff": False}).card.hash)
    hashes.add(load_potential("ase", calculator=f"{HERE}.Aware").card.hash)
    with monkeypatch.context() as patch:
        patch.setattr(calculators, "version", lambda name: "3.99.0")
        hashes.add(load_potential(**EMT).card.hash)
    assert len(hashes) == 4
    assert calculators._version("ase.calculators.emt") == f"ase {importlib.metadata.version('ase')}"


@pytest.mark.parametrize("form", ["{0}/a", ["{0}/a"], {"models": [{"path": "{0}/a"}, 1]}, "{0}", ["x", "{0}"]], ids=str)
def test_the_hash_follows_the_content_of_files_and_folders_at_any_depth(form, tmp_path):
    def hashed(at):
        argument = json.loads(json.dumps(form).replace("{0}", str(at)))
        return load_potential("ase", calculator=f"{HERE}.Aware", arguments={"model": argument}).card.hash

    weights = tmp_path / "one"
    (weights / "deep").mkdir(parents=True)
    (weights / "a").write_text("1")
    (weights / "deep/b").write_text("2")
    first = hashed(weights)
    shutil.copytree(weights, tmp_path / "elsewhere")
    assert hashed(tmp_path / "elsewhere") == first, "where weights lie does not matter"
    (weights / "a").write_text("3")
    assert hashed(weights) != first
    (weights / "a").write_text("1")
    assert hashed(weights) == first
    (weights / "deep/b").rename(weights / "deep/c")
    assert (hashed(weights) != first) == ("{0}/a" not in json.dumps(form))


def test_the_folder_of_output_and_what_is_no_path_are_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = {"directory": ".", "label": "", "nested": ["", "x" * 5000]}
    hashes = set()
    for name in ("a", "b"):
        (tmp_path / name).touch()
        hashes.add(load_potential("ase", calculator=f"{HERE}.Aware", arguments=arguments).card.hash)
    assert len(hashes) == 1


def test_the_hash_of_a_loose_module_follows_its_content(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    hashes = set()
    for number in (1, 2):
        text = "from ase.calculators.emt import EMT\n" + "# changed\n" * number
        (tmp_path / f"loose{number}.py").write_text(text)
        __import__(f"loose{number}")
        hashes.add(calculators._version(f"loose{number}"))
    assert len(hashes) == 2


def test_without_references_it_is_said_that_nothing_is_verified(caplog):
    load_potential(**EMT)
    assert "EMT: not verified" in caplog.text
    caplog.clear()
    copper = Atoms("Cu4", scaled_positions=bulk("Cu", cubic=True).get_scaled_positions(), cell=[3.6] * 3, pbc=True)
    (energy,), _ = load_potential("ase", calculator="ase.calculators.emt.EMT").evaluate([copper])
    caplog.clear()
    load_potential(**EMT, references=[as_reference(copper, energy)])
    load_potential("pair")
    assert not caplog.text
