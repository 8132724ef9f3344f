"""Loading a potential, and evaluating in batches; what every potential promises is in test_contract."""

import pickle

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from cryingan.errors import CryinGANError
from cryingan.potentials.pair import PairPotential
from cryingan.potentials.potential import load_potential
from cryingan.potentials.settings import PairSettings
from tests.support.paths import ROOT
from tests.support.potentials import MOS, CountingPotential, rattled

FOLDER = ROOT / "data/interface/li2o_licl/potential"


class Limit:
    """Raises for a batch of more atoms than fit into the memory.

    Args:
        atoms: that fit.
        error: what is raised.

    Attributes:
        sizes: atoms of each batch, those that did not fit among them.
    """

    def __init__(self, atoms, error):
        self.atoms, self.error, self.sizes = atoms, error, []

    def __call__(self, energies, forces, frames, call):
        self.sizes.append(sum(map(len, frames)))
        if self.sizes[-1] > self.atoms:
            raise self.error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_batch_halves_itself_when_out_of_memory(error):
    pair, limit = load_potential("pair", atoms_per_batch=32), Limit(8, error)
    potential = CountingPotential(pair, limit)
    frames = [rattled(bulk("Cu", cubic=True), seed) for seed in range(9)]
    expected = pair.evaluate(frames)
    energies, forces = potential.evaluate(frames)
    np.testing.assert_array_equal(energies, expected[0])
    np.testing.assert_array_equal(forces, expected[1])
    assert limit.sizes == [32, 16, 8, 8, 8, 8, 4]
    assert potential.atoms_per_batch == 8


def test_one_structure_that_does_not_fit_and_other_errors():
    pair, frame = load_potential("pair"), bulk("Cu", cubic=True)
    with pytest.raises(CryinGANError, match="one structure of 4 atoms"):
        CountingPotential(pair, Limit(3, MemoryError())).evaluate([frame, frame])
    with pytest.raises(RuntimeError, match="a bug"):
        CountingPotential(pair, Limit(3, RuntimeError("a bug"))).evaluate([frame])


def test_unsuitable_structures_are_refused_before_anything_is_computed():
    potential = CountingPotential(load_potential("pair", radii={"Cu": 1.2}))
    with pytest.raises(CryinGANError, match="structure 1: pair does not know Mo, S"):
        potential.evaluate([bulk("Cu"), MOS])
    with pytest.raises(CryinGANError, match="structure 0: not periodic"):
        potential.evaluate([Atoms("Cu", cell=[5] * 3, pbc=[True, True, False])])
    assert not potential.batches


def test_a_potential_that_was_not_loaded_has_no_copies():
    potential = PairPotential(PairSettings())
    assert potential.spec is None
    with pytest.raises(TypeError, match="pair was not made by load_potential"):
        pickle.dumps(potential)


def test_a_folder_tells_its_kind(tmp_path, monkeypatch):
    named, alone = load_potential("m3gnet", FOLDER), load_potential(FOLDER)
    assert alone.card == named.card
    assert alone.spec == named.spec
    monkeypatch.chdir(FOLDER.parent)
    assert load_potential("potential").spec == named.spec
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pair").symlink_to(FOLDER)
    assert load_potential("pair").card.name == "pair", "a name is a kind before it is a folder"
    assert load_potential("./pair").card == named.card


def test_the_pair_potential_ignores_path_and_device():
    assert load_potential("pair", "nowhere", "cuda").device == "cpu"


MISUSES = {
    "kind": (
        {"kind": "snap"},
        "unknown kind of potential 'snap': use m3gnet, chgnet, ase, gap, pair, tersoff, or a folder",
    ),
    "folder and path": ({"kind": str(FOLDER), "path": str(FOLDER)}, "unknown kind"),
    "another folder": (
        {"kind": str(FOLDER.parent)},
        r"li2o_licl holds no potential: m3gnet has model\.pt and state\.pt",
    ),
    "option": ({"kind": "pair", "depht": 1.0}, "potential pair has no depht; it takes depth, stiffness"),
    "value": ({"kind": "pair", "radii": 3}, "potential pair: 'int' object is not iterable"),
    "calculator": ({"kind": "ase", "calculator": "ase.calculators.emt.Emt"}, "cannot be made"),
    "no path": ({"kind": "m3gnet"}, "needs a path"),
    "reference": ({"kind": "pair", "references": [{"energy": 1.0}]}, "a reference needs"),
}


@pytest.mark.parametrize(("arguments", "message"), MISUSES.values(), ids=MISUSES.keys())
def test_misuse_is_one_clear_line(arguments, message):
    with pytest.raises(CryinGANError, match=message) as caught:
        load_potential(**arguments)
    assert "\n" not in str(caught.value)
