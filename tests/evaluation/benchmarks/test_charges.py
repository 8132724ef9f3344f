"""Own structures: species, anions and charges that are not given."""

import logging

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from configs.entry import compose
from configs.schema import plain
from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.charges import guessed_charges
from cryingan.evaluation.benchmarks.interface import InterfaceBenchmark
from cryingan.evaluation.evaluate import evaluate
from cryingan.evaluation.report import summary_lines
from tests.support.evaluation import QUIET

PAPER = InterfaceBenchmark()


def rock_salt(symbols, seed, count=3):
    made = []
    for number in range(count):
        atoms = bulk(symbols, "rocksalt", a=5.6, cubic=True)
        atoms.positions += np.random.default_rng([seed, number]).normal(0, 0.1, atoms.positions.shape)
        made.append(atoms)
    return made


@pytest.mark.parametrize(
    ("composition", "charges"),
    [
        ({"Na": 4, "Cl": 4}, {"Na": 1, "Cl": -1}),
        ({"Mg": 40, "O": 37, "S": 3}, {"Mg": 2, "O": -2, "S": -2}),
        ({"Cs": 20, "Pb": 20, "I": 60}, {"Cs": 1, "Pb": 2, "I": -1}),
        ({"Na": 3, "Zr": 2, "Si": 2, "P": 1, "O": 12}, {"Na": 1, "Zr": 4, "Si": 4, "P": 5, "O": -2}),
        ({"Fe": 48, "O": 64}, {"Fe": 8 / 3, "O": -2}),
        ({"Fe": 154, "Ni": 51, "Cr": 51}, None),
        ({"Na": 20, "Cl": 21}, None),
        ({"He": 3, "Ar": 4}, None),
    ],
)
def test_charges_of_compounds(composition, charges):
    assert guessed_charges(composition, {}) == (charges and pytest.approx(charges))


def test_given_charges_hold_and_the_others_follow():
    assert guessed_charges({"Fe": 2, "Mg": 1, "O": 4}, {"Mg": 2}) == {"Fe": 3, "Mg": 2, "O": -2}
    assert guessed_charges({"Fe": 1, "S": 2}, {"S": -1}) == {"Fe": 2, "S": -1}


def test_elements_of_the_paper_keep_its_settings():
    assert PAPER.for_species({"Li": 3, "O": 1, "Cl": 1}, "x") is PAPER


def test_own_structures_are_scored_without_settings_and_as_with_them(caplog):
    caplog.set_level(logging.INFO)
    sets = rock_salt("NaCl", 0), rock_salt("NaCl", 1)
    guessed = evaluate(*sets, "interface", **QUIET)
    [said] = [record.message for record in caplog.records if "guessed" in record.message]
    keys = "benchmark.species=[Na] benchmark.anions=[Cl] benchmark.oxidation_states.Na=1"
    assert said.startswith(f"the reference: guessed with pymatgen, where not given: {keys}")
    caplog.clear()
    given = plain(compose("evaluate", "benchmark=interface", *keys.split()))["benchmark"]
    given.pop("kind")
    told = evaluate(*sets, "interface", **QUIET, **given)
    assert not caplog.records
    values = [{name: value.as_json() for name, value in one.values.items()} for one in (told, guessed)]
    assert values[0] == values[1]
    assert told.provenance["settings"] == guessed.provenance["settings"]
    assert guessed.values["d_Na"].value > 0


@pytest.mark.parametrize(
    ("atoms", "more", "said"),
    [
        (bulk("CuAu", "rocksalt", a=5), {}, "no neutral charges are known: give benchmark.oxidation_states.Au=N"),
        (bulk("NaMg", "rocksalt", a=5), {}, "no neutral charges are known"),
        (bulk("NaCl", "rocksalt", a=5), {"species": ["K"]}, "none of benchmark.species=K"),
        (bulk("NaMg", "rocksalt", a=5), {"oxidation_states": {"Na": 1, "Mg": 2}}, "without cations or anions"),
    ],
)
def test_what_cannot_be_guessed_ends_in_one_line(tmp_path, atoms, more, said):
    write(tmp_path / "set.xyz", [atoms, atoms])
    with pytest.raises(CryinGANError) as told:
        evaluate(tmp_path / "set.xyz", tmp_path / "set.xyz", "interface", **QUIET, **more)
    assert said in str(told.value)
    assert str(told.value).startswith(str(tmp_path / "set.xyz"))
    assert "\n" not in str(told.value)


def test_the_summary_leaves_out_what_the_reference_lacks_and_says_what_is_no_failure():
    lines = list(summary_lines(evaluate(rock_salt("LiCl", 0), rock_salt("LiCl", 1), "interface", **QUIET)))
    assert any(line.startswith("d_Li ") for line in lines)
    assert not any("Co" in line or "Sc" in line for line in lines)
    [failed] = [line for line in lines if line.startswith("percent_failed")]
    assert failed.endswith("without relaxation by sample.py, atoms on one spot are no failure")
