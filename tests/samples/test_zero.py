"""The zero of energies of training structures in motion: one for all ways to it, and one for the whole of a run."""

import pytest

from cryingan.energies.training_scale import TrainingScale
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.settings import RelaxSettings
from cryingan.samples.folder import read_summary, store_samples
from cryingan.samples.relaxer import SampleRelaxer
from cryingan.samples.report import summary_line
from cryingan.structures.files import read_structures
from tests.conftest import random_crystals
from tests.support.relaxed_samples import CELL, FAST, SPECIES, plan


def test_the_record_names_it_and_a_run_keeps_it(training):
    first = SampleRelaxer(plan(training=training, n_training=4)).scale
    record = first.record()
    assert (record["zero"]["rule"], record["zero"]["n_training"]) == ("relaxed percentile", 4)
    assert record["zero"]["settings"] == RelaxSettings(**FAST).protocol
    changed = plan(training=training, n_training=7, relax={**FAST, "fmax": 0.02})
    assert SampleRelaxer(changed).scale.record()["zero_ev_per_atom"] != record["zero_ev_per_atom"]
    earlier = [{**record, "where": "the run"}]
    resumed = SampleRelaxer(plan(training=training, n_training=7, relax={**FAST, "fmax": 0.02}, earlier=earlier))
    assert resumed.scale.record() == record, "changed settings are for the samples"
    assert resumed.settings.fmax == 0.02
    assert len(resumed.scale.shown) == len(first.shown) == 4
    assert resumed.scale.shown.min() < 0 < resumed.scale.shown.max(), "the figure shows the structures that set it"


def test_a_run_of_version_0_1_0_keeps_the_zero_of_its_structures_as_they_are(tmp_path, training):
    potential = load_potential("pair")
    old = TrainingScale(training, potential, settings=RelaxSettings(**{**FAST, "fmax": 1e9}))  # whatever the forces
    record = {name: value for name, value in old.record().items() if name != "zero"}
    resumed = SampleRelaxer(plan(training=training, earlier=[{**record, "where": "the run"}]))
    assert resumed.scale.record() == record
    assert resumed.scale.of_relaxed
    record["zero_ev_per_atom"] -= 0.01
    with pytest.raises(CryinGANError, match="cannot be mixed"):
        SampleRelaxer(plan(training=training, earlier=[{**record, "where": "the run"}]))


@pytest.mark.parametrize("changes", [{"n_training": 0}, {"relax": {**FAST, "max_steps": 1}}])
def test_without_a_zero_there_are_energies_and_no_fractions(tmp_path, training, changes):
    store_samples(random_crystals(3, SPECIES, CELL, seed=1), tmp_path / "run")
    made = plan(training=training, **changes)
    values = SampleRelaxer(made)(tmp_path / "run")
    assert not any("fraction" in name for name in values)
    summary = read_summary(tmp_path / "run")
    assert summary["zero"]["rule"] == "percentile"
    assert "at or below" not in summary_line(summary)
    again = SampleRelaxer(plan(training=training, **changes, earlier=[{**summary, "where": "the run"}]))
    assert not again.scale.of_relaxed


def test_at_rest_for_the_potential_at_hand(training):
    """The same structures are at rest for a softer force target; nothing is relaxed then."""
    scale = TrainingScale(training, load_potential("pair"), settings=RelaxSettings(**{**FAST, "fmax": 10.0}))
    every = load_potential("pair").evaluate(read_structures(training["path"]).to_ase())[0] / len(SPECIES)
    assert len(scale.shown) == len(every)
    assert scale.record()["zero"]["rule"] == "relaxed percentile"


def test_a_number_that_is_none_is_refused(training):
    for number in (-1, 2.5, "twenty"):
        with pytest.raises(CryinGANError, match=r"n_training=.* must be a whole number"):
            SampleRelaxer(plan(training=training, n_training=number))
