"""Configurations of published potentials: what to install, keys of their own, and MACE with a tiny random model."""

import importlib.util
import pickle

import numpy as np
import pytest
from ase.build import bulk

from configs.schema import plain
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from tests.conftest import compose
from tests.support.command import call
from tests.support.potentials import rattled

RECIPES = {
    "mace": ("mace", "mace-torch"),
    "sevennet": ("sevenn", "sevenn"),
    "orb": ("orb_models", "orb-models"),
    "mattersim": ("mattersim", "mattersim"),
    "uma": ("fairchem", "fairchem-core"),
}


def settings_of(*overrides):
    return plain(compose("callbacks=relax", "data.path=any.extxyz", *overrides))["potential"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_package_that_is_absent_is_named(recipe):
    module, package = RECIPES[recipe]
    if importlib.util.find_spec(module):
        pytest.skip(f"{package} is installed")
    with pytest.raises(CryinGANError, match=f"{package} is not installed: pip install {package}"):
        load_potential(**settings_of(f"potential={recipe}"))


def test_keys_of_the_calculator_need_no_plus():
    emt = settings_of("potential=ase", "potential.arguments.fixed_cutoff=false", "potential.arguments.asap_cutoff=true")
    assert emt["arguments"] == {"fixed_cutoff": False, "asap_cutoff": True}
    mace = settings_of("potential=mace", "potential.arguments.model=small", "potential.arguments.head=pbe")
    assert mace["arguments"] == {"model": "small", "head": "pbe", "default_dtype": "float64", "device": "cpu"}


def test_as_a_user_types_it(tmp_path, structures_file):
    said = [f"structures={structures_file}", "relax=true", f"output={tmp_path}", "relax.backend=serial"]
    lj = ["potential=ase", "potential.calculator=ase.calculators.lj.LennardJones", "potential.arguments.sigma=1.5"]
    ended = call("sample.py", *said, *lj, "relax.max_steps=2", "pictures=0")
    assert ended.returncode == 0, ended.stderr


def test_a_dependency_that_is_absent_is_named(monkeypatch):
    """Of an installed package; the package itself need not be installed again."""
    raised = ModuleNotFoundError("No module named 'e3nn'", name="e3nn")
    monkeypatch.setattr("cryingan.potentials.ase_calculator.resolve_name", lambda _: (_ for _ in ()).throw(raised))
    with pytest.raises(CryinGANError, match="numpy is installed, but not e3nn, which it needs: pip install e3nn"):
        load_potential("ase", calculator="mace.calculators.mace_mp", package="numpy")


@pytest.fixture(scope="module")
def tiny_mace(tmp_path_factory):
    """The file of a random MACE of 4 channels for Na and Cl."""
    pytest.importorskip("mace", reason="mace-torch is not installed")
    import torch
    from e3nn import o3
    from mace import modules

    torch.manual_seed(0)
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    sizes = {"r_max": 4.0, "num_bessel": 4, "num_polynomial_cutoff": 5, "max_ell": 1, "num_interactions": 2}
    model = modules.MACE(
        **sizes,
        interaction_cls=block,
        interaction_cls_first=block,
        num_elements=2,
        atomic_numbers=[11, 17],
        atomic_energies=np.zeros(2),
        hidden_irreps=o3.Irreps("4x0e"),
        MLP_irreps=o3.Irreps("4x0e"),
        avg_num_neighbors=8.0,
        correlation=1,
        gate=torch.nn.functional.silu,
    )
    path = tmp_path_factory.mktemp("mace") / "tiny.model"
    torch.save(model, path)
    return path


def test_a_tiny_mace_is_that_of_its_package(tiny_mace):
    from mace.calculators import MACECalculator

    potential = load_potential(**settings_of("potential=mace", f"potential.arguments.model={tiny_mace}"))
    frames = [rattled(bulk("NaCl", "rocksalt", a=5.64, cubic=True), seed) for seed in range(2)]
    energies, forces = pickle.loads(pickle.dumps(potential)).evaluate(frames)
    for frame, energy, force in zip(frames, energies, forces, strict=True):
        frame.calc = MACECalculator(model_paths=str(tiny_mace), device="cpu", default_dtype="float64")
        assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(force, frame.get_forces(), atol=1e-6)
    assert potential.card.name == "MACECalculator"
