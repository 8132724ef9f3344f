from dataclasses import asdict, replace

import pytest

from cryingan.energies.training_scale import TrainingScale
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.settings import RelaxSettings
from cryingan.samples.plan import plan_as_in_run
from cryingan.structures.files import read_structures
from data.module import StructureData
from tests.support.relaxed_samples import QUIET


def test_the_zero_is_that_of_all_structures_whatever_is_held_out(tmp_path, training):
    """And `sample.py` has it with a checkpoint, whose run has a split, as with the file alone."""
    (tmp_path / "data/set.card.yaml").write_text("kind: interface\nrule: maximum\n")
    potential, at_rest = load_potential("pair"), replace(QUIET, fmax=1e9)
    every = potential.evaluate(read_structures(training["path"]).to_ase())[0] / 8
    splits = [StructureData(training["path"], validation=0.5, split_seed=seed) for seed in range(6)]
    highest = {int(every.argmax()) in data.split()[0] for data in splits}
    assert highest == {True, False}, "else it would not matter"
    for data in splits:
        scale = TrainingScale(data.source, potential, str(tmp_path / "cache"), at_rest)
        assert scale.scale.zero == pytest.approx(every.max(), rel=1e-12)
        assert len(scale.shown) == len(every)
    assert len(list((tmp_path / "cache").glob("*.records"))) == 1


def test_sample_has_one_zero_by_both_routes(tmp_path, training):
    settings = {
        "potential": {"kind": "pair"},
        "cache": None,
        "pictures": 0,
        "relax": asdict(RelaxSettings()),
        "training": None,
    }
    settings |= {"thresholds": [0.0], "repair_distance": 1.5, "n_training": 3}
    run = {"data": {"path": training["path"], "validation": 0.5, "split_seed": 3}}
    plans = [plan_as_in_run(settings, run), plan_as_in_run(settings | {"training": training["path"]}, {})]
    assert plans[0].training == plans[1].training
    for kind, usual in (("interface", (0.0, -0.2)), ("bulk", (0.0,))):
        card = tmp_path / f"{kind}.yaml"
        card.write_text(f"kind: {kind}")
        of_set = {"data": run["data"] | {"card": str(card)}}
        for given in (of_set, of_set | {"callbacks": {"relax": {"thresholds": None}}}):
            assert tuple(plan_as_in_run(settings | {"thresholds": None}, given).thresholds) == usual
        older = of_set | {"callbacks": {"relax": {"thresholds": [0.0, -0.2]}}}
        assert plan_as_in_run(settings | {"thresholds": None}, older).thresholds == [0.0, -0.2], "of an earlier version"
    zeros = {TrainingScale(one.training, load_potential("pair"), settings=QUIET).scale.zero for one in plans}
    assert len(zeros) == 1
