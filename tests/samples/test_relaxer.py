import csv
import re
import time

import numpy as np
import pytest
from ase.io import read
from pandas import read_csv

from cryingan.errors import CryinGANError
from cryingan.relaxation.fixed import heights
from cryingan.relaxation.relax import relax_marked
from cryingan.samples.folder import holds, read_summary, set_results_aside, store_samples
from cryingan.samples.relaxer import SampleRelaxer
from cryingan.samples.report import summary_line
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures
from tests.conftest import random_crystals
from tests.support.locks import locked_elsewhere
from tests.support.relaxed_samples import CARD, CELL, FAST, SPECIES, plan


def test_a_folder_holds_everything_and_is_resumed(tmp_path, training, monkeypatch):
    samples = random_crystals(5, SPECIES, CELL, seed=1)
    samples.fractional[1, 3] = samples.fractional[1, 0]  # coincident atoms are repaired
    store_samples(samples, tmp_path / "run")
    relaxer = SampleRelaxer(plan(training=training, pictures=2, molecules=1))
    values = relaxer(tmp_path / "run")
    summary = read_summary(tmp_path / "run")
    assert summary["values"] == values
    assert summary["unit"] == "J/m^2"
    assert values["relax/close_pairs"] >= 0.2
    names = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*.*")}
    assert names == {
        *("samples.extxyz", "repaired.extxyz", "relaxed.extxyz", "relax.csv", "relax.json", "relaxed.json"),
        *("energies.csv", "energies.png", ".lock", "pictures/000000.png", "pictures/000001.png"),
        *("molecules/000000_before.pdb", "molecules/000000_after.pdb", "reference_energies.csv"),
    }
    beside = read_csv(tmp_path / "run/reference_energies.csv", float_precision="round_trip")
    assert beside[beside["set"] == "training"]["energy"].tolist() == relaxer.scale.shown.tolist()
    relaxed = read(tmp_path / "run/relaxed.extxyz", ":")
    molecule = read(tmp_path / "run/molecules/000000_after.pdb")
    assert molecule.get_chemical_symbols() == list(SPECIES)
    assert np.abs(molecule.positions - relaxed[0].positions).max() < 1e-3
    with (tmp_path / "run/energies.csv").open() as file:
        table = list(csv.DictReader(file))
    zero = summary["zero_ev_per_atom"]
    for row, atoms in zip(table, relaxed, strict=True):
        assert float(row["energy_per_atom"]) == pytest.approx(atoms.get_potential_energy() / 8, abs=1e-8)
        expected = (atoms.get_potential_energy() / 8 - zero) * 8 * 1.602176634e-19 / (7.0 * 7.5e-20)
        assert float(row["energy"]) == pytest.approx(expected, abs=1e-6)

    def only_nothing(task, waiting, potential):
        assert not waiting, "relaxed twice"
        yield from ()

    monkeypatch.setattr("cryingan.relaxation.relax.relax_here", only_nothing)
    assert SampleRelaxer(plan(training=training))(tmp_path / "run") == values
    other_thresholds = SampleRelaxer(plan(training=training, thresholds=[5.0]))(tmp_path / "run")
    assert "relax/fraction_below_5" in other_thresholds
    with pytest.raises(CryinGANError, match="other samples"):
        store_samples(samples[:3], tmp_path / "run")
    monkeypatch.undo()
    with pytest.raises(CryinGANError, match="other settings"):
        SampleRelaxer(plan(training=training, relax={**FAST, "fmax": 0.2}))(tmp_path / "run")


def test_nothing_that_can_be_repaired(tmp_path, training):
    crowded = random_crystals(3, SPECIES * 8, np.diag([4.0, 4.0, 4.0]))
    store_samples(crowded, tmp_path / "run")
    values = SampleRelaxer(plan(pictures=1, molecules=1))(tmp_path / "run")
    assert values["relax/failed"] == 1
    assert not {"relax/energy", "relax/steps"} & set(values)
    assert not any("fraction" in name for name in values)  # no training structures, no thresholds
    assert "100.0% failed" in summary_line(read_summary(tmp_path / "run"))
    assert {path.name for path in (tmp_path / "run/molecules").iterdir()} == {"000000_before.pdb"}


def test_unconverged_samples_are_never_below(tmp_path, training):
    store_samples(random_crystals(3, SPECIES, CELL, seed=1), tmp_path / "run")
    card = SampleRelaxer(plan()).potential.card
    cutoff = f"cutoffs: [{{potential: pair, hash: {card.hash}, energy_per_atom: 0.25}}]\n"
    (tmp_path / "data/set.card.yaml").write_text(CARD + cutoff)
    stopped = SampleRelaxer(plan(training=training, thresholds=[1e9], relax={**FAST, "fmax": 1e-3, "max_steps": 1}))
    values = stopped(tmp_path / "run")
    assert values["relax/unconverged"] == 1
    assert values["relax/fraction_below_1000000000"] == 0


def test_a_cut_off_on_the_card_spares_the_energies_of_all(tmp_path, training, monkeypatch):
    monkeypatch.setattr("cryingan.energies.training_scale.TRAINING_SHOWN", 2)
    card = SampleRelaxer(plan()).potential.card
    text = f"{CARD}cutoffs: [{{potential: pair, hash: {card.hash}, energy_per_atom: 0.25}}]\n"
    (tmp_path / "data/set.card.yaml").write_text(text)
    store_samples(random_crystals(2, SPECIES, CELL, seed=1), tmp_path / "run")
    SampleRelaxer(plan(training=training, cache=str(tmp_path / "cache")))(tmp_path / "run")
    assert read_summary(tmp_path / "run")["zero_ev_per_atom"] == 0.25
    [cached] = (tmp_path / "cache").glob("*.records")
    assert len(re.findall(rb"\[\d+, ", cached.read_bytes())) == 2


def test_structures_of_another_composition_or_cell_are_not_compared(tmp_path, training):
    data = read_structures(training["path"])
    others = {
        "composition": Crystals(data.fractional[:1, :-1], data.cell, data.species[:-1]),
        "cell": Crystals(data.fractional[:1], data.cell * 1.1, data.species),
    }
    for what, crystals in others.items():
        store_samples(crystals, tmp_path / what)
        with pytest.raises(CryinGANError, match=f"another {what}"):
            SampleRelaxer(plan(training=training))(tmp_path / what)


def test_what_is_wrong_with_the_data_card_is_known_before_any_relaxation(tmp_path, training):
    (tmp_path / "data/set.card.yaml").write_text("kind: surface\n")
    with pytest.raises(CryinGANError, match=r"set.card.yaml: kind: 'surface' must be one of"):
        SampleRelaxer(plan(training=training))


def test_the_energy_scale_is_known_before_any_relaxation(tmp_path, training, monkeypatch, caplog):
    """Its cache cannot be written: that is a warning, and the scale is kept while the process lives."""
    store_samples(random_crystals(2, SPECIES, CELL, seed=1), tmp_path / "run")
    (tmp_path / "file").touch()
    relaxer = SampleRelaxer(plan(training=training, cache=str(tmp_path / "file/cache")))

    def checked(*arguments, **settings):
        assert "computed again next time" in caplog.text
        monkeypatch.setattr("cryingan.energies.training_scale.training_energies", None)
        monkeypatch.setattr("cryingan.energies.zero.training_forces", None)
        return relax_marked(*arguments, **settings)

    monkeypatch.setattr("cryingan.samples.relaxer.relax_marked", checked)
    assert "relax/fraction_below_0" in relaxer(tmp_path / "run")


def test_energies_on_another_scale_are_refused(training):
    record = SampleRelaxer(plan(training=training)).scale.record()
    assert set(record) == {"potential", "potential_hash", "unit", "zero_ev_per_atom", "factor", "zero"}
    SampleRelaxer(plan(training=training, earlier=[{**record, "where": "a run"}]))
    others = [("potential", "m3gnet"), ("potential_hash", "0" * 64), ("unit", "eV/atom")]
    for name, value in [*others, ("zero_ev_per_atom", record["zero_ev_per_atom"] + 0.01), ("factor", 1.5)]:
        with pytest.raises(CryinGANError, match=r"a run has energies in .* cannot be mixed"):
            SampleRelaxer(plan(training=training, earlier=[{**record, name: value, "where": "a run"}]))


def test_one_process_at_a_time_relaxes_in_a_folder(tmp_path, monkeypatch):
    store_samples(random_crystals(1, SPECIES, CELL, seed=1), tmp_path)
    relaxer = SampleRelaxer(plan())
    monkeypatch.setattr("cryingan.storage.locks.SECONDS_TO_WAIT", 0.3)
    with locked_elsewhere(tmp_path), pytest.raises(CryinGANError, match="another process is at work"):
        relaxer(tmp_path)
    monkeypatch.setattr("cryingan.storage.locks.SECONDS_TO_WAIT", 30)
    start = time.monotonic()
    with locked_elsewhere(tmp_path, seconds=0.5):
        assert relaxer(tmp_path)["relax/failed"] == 0
    assert time.monotonic() - start > 0.4


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_a_request_to_end_is_no_failed_evaluation(tmp_path, monkeypatch, end):
    def ended(*_):
        raise end

    relaxer = SampleRelaxer(plan())
    monkeypatch.setattr(SampleRelaxer, "__call__", ended)
    with pytest.raises(end):
        relaxer.attempt(tmp_path)
    assert not list(tmp_path.iterdir())


def test_results_are_set_aside_whatever_is_there(tmp_path):
    samples = random_crystals(2, SPECIES, CELL, seed=1)
    store_samples(samples, tmp_path / "run")
    SampleRelaxer(plan())(tmp_path / "run")
    before = {path.name for path in (tmp_path / "run").iterdir()}
    assert set_results_aside(tmp_path / "run") == tmp_path / "run.1"
    assert {path.name for path in (tmp_path / "run.1").iterdir()} == before - {".lock"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"samples.extxyz", ".lock"}
    assert holds(samples, tmp_path / "run")
    assert holds(samples, tmp_path / "run.1")
    assert set_results_aside(tmp_path / "run") == tmp_path / "run.2"


def test_samples_are_repaired_to_the_distance_of_the_plan(tmp_path):
    """Two atoms are 1.7 Angstrom apart: enough for the default, too close for 2.2."""
    fractional = np.array([[[0.1, 0.1, 0.1], [0.1 + 1.7 / 7, 0.1, 0.1], [0.6, 0.6, 0.6]]])
    samples = Crystals(fractional, CELL, ("Li", "O", "Cl"))
    closest = {}
    for distance in (1.5, 2.2):
        store_samples(samples, tmp_path / str(distance))
        values = SampleRelaxer(plan(repair_distance=distance))(tmp_path / str(distance))
        assert values["relax/close_pairs"] == (distance > 1.7)
        repaired = read(tmp_path / str(distance) / "repaired.extxyz")
        closest[distance] = repaired.get_distance(0, 1, mic=True)
    assert closest[1.5] == pytest.approx(1.7, abs=1e-6)
    assert closest[2.2] >= 2.2 - 1e-6


def test_samples_without_atoms_where_training_structures_are_fixed_are_told(tmp_path, training, caplog):
    """Early samples have empty layers; a rule of heights then fixes other atoms than in the structures of the zero."""
    samples = random_crystals(3, SPECIES, CELL, seed=1)
    samples.fractional[:, :, 2] = 0.3 + samples.fractional[:, :, 2] / 2
    store_samples(samples, tmp_path / "run")
    relaxer = SampleRelaxer(plan(training=training, relax={**FAST, "fixed": "below:2.0"}))
    relaxer(tmp_path / "run")
    fixed = (heights(read_structures(training["path"])) < 2).sum(axis=1)
    [said] = [line for line in caplog.messages if "compare badly" in line]
    assert (
        f"fixes {fixed.min()} to {fixed.max()} of 8 atoms of the training structures, but 0 in 3 of 3 samples" in said
    )
