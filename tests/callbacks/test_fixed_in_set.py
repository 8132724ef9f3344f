"""Samples of a set that was built with fixed layers are relaxed with these layers fixed."""

import shutil

import pytest

from configs.entry import compose as compose_of
from configs.schema import plain
from cryingan.samples.plan import plan_as_in_run
from cryingan.structures.files import read_structures
from cryingan.training.checkpoints import run_settings
from tests.support.relaxed_runs import RELAX
from train import train

pytestmark = pytest.mark.usefixtures("copied_worker", "undrawn")

CARD = "made:\n  relaxation:\n    fixed: {}\n"


@pytest.fixture
def built(structures_file, tmp_path):
    """A function that puts a set and its card into a folder and returns the path of the set."""

    def build(rule):
        path = tmp_path / "set.extxyz"
        shutil.copy(structures_file, path)
        (tmp_path / "set.card.yaml").write_text(CARD.format(rule))
        return path

    return build


@pytest.mark.parametrize(("mode", "rule", "fixed"), [("inline", "below:9.0", 10), ("background", "[0, 3]", 2)])
def test_samples_have_the_fixed_atoms_of_the_card(tiny, tmp_path, built, capsys, mode, rule, fixed):
    arguments = (*RELAX, f"data.path={built(rule)}", f"callbacks.relax.mode={mode}", "trainer.max_epochs=1")
    train(tiny(*arguments))
    assert "set.extxyz was relaxed; relax.fixed=[] leaves all atoms free" in capsys.readouterr().out
    samples = read_structures(tmp_path / "run/relaxed/epoch_000001/repaired.extxyz", closest=0)
    assert (samples.fixed.all(axis=2).sum(axis=1) == fixed).all()
    settings = plain(compose_of("sample", "relax=true", "potential=pair"))
    plan = plan_as_in_run(settings, run_settings(tmp_path / "run/checkpoints/last.ckpt"))
    assert str(plan.relax["fixed"]) == rule


def test_all_atoms_are_free_where_that_is_said(tiny, tmp_path, built):
    train(tiny(*RELAX, f"data.path={built('below:3.0')}", "relax.fixed=[]", "trainer.max_epochs=1"))
    assert "move_mask" not in (tmp_path / "run/relaxed/epoch_000001/repaired.extxyz").read_text()


@pytest.mark.parametrize(
    ("rule", "given", "expected"),
    [
        ("below:3.0", (), "below:3.0"),
        ("below:3.0", ("relax.fixed=[0]",), [0]),
        ("below:3.0", ("relax.fixed=[]",), []),
        ("below:3.0", ("relax.fixed=null",), None),
        ("[0, 3]", (), None),  # the atoms of another file may come in another order
    ],
)
def test_structures_of_another_file(built, rule, given, expected):
    arguments = ("structures=other.extxyz", f"training={built(rule)}", "relax=true", "potential=pair", *given)
    keys = {argument.partition("=")[0] for argument in given}
    assert plan_as_in_run(plain(compose_of("sample", *arguments)), {}, keys).relax["fixed"] == expected
