import csv
import json
import re
import time
from dataclasses import asdict

import numpy as np
import pytest
from ase.io import read

from cryingan.energies.scale import Energies
from cryingan.energies.training_scale import TrainingScale
from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.relax import RelaxationResults, relax
from cryingan.relaxation.repair import RepairLog
from cryingan.relaxation.settings import RelaxSettings
from cryingan.samples.folder import holds, read_summary, set_results_aside, store_samples
from cryingan.samples.plan import Plan, plan_as_in_run
from cryingan.samples.relaxer import SampleRelaxer
from cryingan.samples.report import Outcome, in_words
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures
from cryingan.structures.lenient import salvage_structures
from data.module import StructureData
from tests.conftest import random_crystals
from tests.support.command import call
from tests.support.locks import locked_elsewhere

CELL = np.diag([7.0, 7.5, 8.0])
SPECIES = ("Li", "O", "Li", "Cl", "O", "O", "Li", "Cl")
FAST = {"backend": "serial", "fmax": 0.1, "progress": False}
QUIET = RelaxSettings(backend="serial", progress=False)
CARD = "kind: interface\nrule: percentile\npercentile: 50\n"


def plan(**changes):
    return Plan(**{"potential": {"kind": "pair"}, "relax": FAST, "pictures": 0, "molecules": 0, **changes})


@pytest.fixture
def training(tmp_path):
    path = tmp_path / "data/set.extxyz"
    path.parent.mkdir()
    write_structures(random_crystals(9, SPECIES, CELL), path)
    (tmp_path / "data/set.card.yaml").write_text(CARD)
    return {"path": str(path), "sort_species": False}


def test_values_by_hand():
    reasons = ["converged", "converged", "converged", "max_steps", "exploded", "too_close", "time", "not_finite"]
    converged = np.array([reason == "converged" for reason in reasons])
    crystals = random_crystals(10, ("Li", "O"), CELL)
    final = np.array([-3.0, -1.0, 1.0, -9.0, -9.0, np.nan, np.nan, np.nan])
    results = RelaxationResults(
        samples=np.array([0, 1, 2, 4, 5, 6, 7, 9]),
        energy_initial=final + np.array([2, 4, 6, 8, 8, 8, 8, 8]),
        energy_final=final,
        steps=np.array([10, 20, 30, 1000, 5, 0, 0, 15]),
        evaluations=np.array([11, 21, 31, 1001, 6, 0, 0, 16]),
        fmax=np.zeros(8),
        converged=converged,
        reason=np.array(reasons),
        crystals=crystals[:8],
        potential=PotentialCard("pair", "0", ()),
    )
    repairs = RepairLog(np.arange(10), np.ones(10), ~np.isin(np.arange(10), [3, 8]))
    energies = Energies(np.where(converged, final / 2, np.nan), "eV/atom", results.potential)
    values = Outcome(crystals, repairs, results, energies, (0.0, -0.5, -2.0)).values()
    assert {name: value for name, value in values.items() if not name.endswith(("low", "high"))} == {
        "relax/fraction_below_0": 0.2,
        "relax/fraction_below_-0.5": 0.2,
        "relax/fraction_below_-2": 0.0,
        "relax/failed": 0.5,  # two not repaired, three failed
        "relax/unconverged": 0.2,
        "relax/close_pairs": 4.5,
        "relax/steps": (10 + 20 + 30 + 1000 + 5 + 15) / 6,
        "relax/energy": -0.5,
        "relax/energy_median": -0.5,
        "relax/energy_drop": 2.0,
    }


def test_a_folder_holds_everything_and_is_gone_on_with(tmp_path, training, monkeypatch):
    samples = random_crystals(5, SPECIES, CELL, seed=1)
    samples.fractional[1, 3] = samples.fractional[1, 0]  # coincident atoms are repaired
    store_samples(samples, tmp_path / "run")
    values = SampleRelaxer(plan(training=training, pictures=2, molecules=1))(tmp_path / "run")
    summary = read_summary(tmp_path / "run")
    assert summary["values"] == values
    assert summary["unit"] == "J/m^2"
    assert values["relax/close_pairs"] >= 0.2
    names = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*.*")}
    assert names == {
        *("samples.extxyz", "repaired.extxyz", "relaxed.extxyz", "relax.csv", "relax.json", "relaxed.json"),
        *("energies.csv", "energies.png", ".lock", "pictures/000000.png", "pictures/000001.png"),
        *("molecules/000000_before.pdb", "molecules/000000_after.pdb"),
    }
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
    with pytest.raises(CryinGANError, match="other settings"):
        SampleRelaxer(plan(training=training, relax={**FAST, "fmax": 0.2}))(tmp_path / "run")


def test_nothing_that_can_be_repaired(tmp_path, training):
    crowded = random_crystals(3, SPECIES * 20, np.diag([4.0, 4.0, 4.0]))
    store_samples(crowded, tmp_path / "run")
    values = SampleRelaxer(plan(pictures=1, molecules=1))(tmp_path / "run")
    assert values["relax/failed"] == 1
    assert not {"relax/energy", "relax/steps"} & set(values)
    assert not any("fraction" in name for name in values)  # no training structures, no thresholds
    assert "100.0% failed" in in_words(read_summary(tmp_path / "run"))
    assert {path.name for path in (tmp_path / "run/molecules").iterdir()} == {"000000_before.pdb"}


def test_unconverged_samples_are_never_below(tmp_path, training):
    store_samples(random_crystals(3, SPECIES, CELL, seed=1), tmp_path / "run")
    stopped = SampleRelaxer(plan(training=training, thresholds=[1e9], relax={**FAST, "fmax": 1e-3, "max_steps": 1}))
    values = stopped(tmp_path / "run")
    assert values["relax/unconverged"] == 1
    assert values["relax/fraction_below_1e+09"] == 0


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


def test_structures_of_any_origin_from_the_command_line(tmp_path, training):
    """One has coincident atoms, one an atom that is nowhere, one is cut short in a line."""
    samples = random_crystals(5, SPECIES, CELL, seed=1)
    samples.fractional[0, 1] = samples.fractional[0, 0]
    samples.fractional[1, 3] = np.nan
    write_structures(samples, tmp_path / "others.extxyz")
    lines = (tmp_path / "others.extxyz").read_text().splitlines()
    lines[3 * (len(SPECIES) + 2) + 4] = "Li 0.0 0.0"
    (tmp_path / "others.extxyz").write_text("\n".join(lines))
    arguments = [f"structures={tmp_path / 'others.extxyz'}", "relax=true", "potential=pair", "relax.fmax=0.1"]
    arguments += [f"output={tmp_path / 'out'}", "relax.backend=serial", "pictures=2"]
    result = call("sample.py", *arguments, f"training={training['path']}")
    assert result.returncode == 0, result.stderr
    assert "5 samples: " in result.stdout
    assert "40.0% failed" in result.stdout
    assert "frame 2 has positions that are not finite; it counts as failed" in result.stdout
    assert "frame 4, atom 3 (line 35): too few columns in 'Li 0.0 0.0'; it counts as failed" in result.stdout
    summary = json.loads((tmp_path / "out/relaxed.json").read_text())
    assert summary["unit"] == "J/m^2"
    assert Crystals.from_ase(read(tmp_path / "out/samples.extxyz", ":")).species == SPECIES
    assert [atoms.info["sample"] for atoms in read(tmp_path / "out/relaxed.extxyz", ":")] == [0, 2, 4]
    with (tmp_path / "out/energies.csv").open() as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert reasons == ["converged", "not_finite", "converged", "not_finite", "converged"]


def test_structures_of_two_compositions_are_refused(tmp_path, training):
    write_structures(random_crystals(2, SPECIES, CELL, seed=1), tmp_path / "a.extxyz")
    write_structures(random_crystals(1, ("Na", *SPECIES[1:]), CELL, seed=1), tmp_path / "b.extxyz")
    mixed = tmp_path / "mixed.extxyz"
    mixed.write_text((tmp_path / "a.extxyz").read_text() + (tmp_path / "b.extxyz").read_text())
    with pytest.raises(CryinGANError, match=r"mixed.extxyz, frame 3 is Na1O3Li2Cl2, but frame 1 is Li3O3Cl2: comp"):
        salvage_structures(mixed)
    mixed.write_text("1\nbroken\nLi 0 0\n")
    with pytest.raises(CryinGANError, match="holds no structure that can be read"):
        salvage_structures(mixed)


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("sample.py", ["structures=no/such.extxyz", "relax=false"], "add relax=true"),
        ("sample.py", ["structures=no/such.extxyz", "relax=cg", "potential=null"], "potential=m3gnet"),
        ("sample.py", ["relax=true", "potential=pair", "relax.fmx=1"], "Did you mean relax.fmax?"),
        ("train.py", ["callbacks=relax", "potential=pair", "potential.depth=deep"], "potential.depth: Value 'deep'"),
        ("train.py", ["relax.processes=many"], "'many'"),
    ],
)
def test_a_mistake_ends_in_one_line(script, arguments, said):
    result = call(script, *arguments)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1, result.stderr
    assert said in result.stderr


def test_help_shows_the_keys_of_the_groups_that_are_named():
    said = call("train.py", "callbacks=relax", "potential=m3gnet", "--help").stdout
    assert {"n_samples:", "thresholds:", "path:", "fmax:"} <= set(said.split())
    assert "n_samples:" not in call("train.py", "--help").stdout


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
        monkeypatch.setattr("cryingan.energies.scale.training_energies", None)
        return relax(*arguments, **settings)

    monkeypatch.setattr("cryingan.samples.relaxer.relax", checked)
    assert "relax/fraction_below_0" in relaxer(tmp_path / "run")


def test_the_zero_is_that_of_all_structures_whatever_is_held_out(tmp_path, training):
    """And `sample.py` has it with a checkpoint, whose run has a split, as with the file alone."""
    (tmp_path / "data/set.card.yaml").write_text("kind: interface\nrule: maximum\n")
    every = load_potential("pair").evaluate(read_structures(training["path"]).to_ase())[0] / 8
    splits = [StructureData(training["path"], validation=0.5, split_seed=seed) for seed in range(6)]
    highest = {int(every.argmax()) in data.split()[0] for data in splits}
    assert highest == {True, False}, "else it would not matter"
    for data in splits:
        scale = TrainingScale(data.source, load_potential("pair"), str(tmp_path / "cache"), QUIET)
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
    settings |= {"thresholds": [0.0], "repair_distance": 1.5}
    run = {"data": {"path": training["path"], "validation": 0.5, "split_seed": 3}}
    plans = [plan_as_in_run(settings, run), plan_as_in_run(settings | {"training": training["path"]}, {})]
    assert plans[0].training == plans[1].training
    zeros = {TrainingScale(one.training, load_potential("pair"), settings=QUIET).scale.zero for one in plans}
    assert len(zeros) == 1


def test_energies_on_another_scale_are_refused(training):
    record = SampleRelaxer(plan(training=training)).scale.record()
    assert set(record) == {"potential", "potential_hash", "unit", "zero_ev_per_atom", "factor"}
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
