import csv
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import yaml

from cryingan.energies.data_card import read_data_card
from cryingan.energies.scale import energy_scale, interface_area
from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.potential import Potential, load_potential
from cryingan.relaxation.relax import relax
from cryingan.relaxation.trajectory import read_frames
from cryingan.structures.files import read_structures, write_structures
from data.command import read_settings
from data.interface import build
from data.interface import card as set_card
from data.interface import parts as relaxed
from data.interface.bulk import make_crystal
from data.interface.settings import INTERFACE_SETS, BuildSettings
from data.module import StructureData
from tests.conftest import compose, random_crystals
from tests.support.bulk_crystals import LI2O, LICL

SYSTEM = """
name: my pair
substrate: {crystal: {file: li2o.cif}, miller: [1, 0, 0], layers: 3, facing: O, neutralise: true}
film: {crystal: {file: licl.cif}, miller: [1, 0, 0], layers: 1}
matching: {max_area: 60, determinants: [5, 4]}
region:
  formula_units: 4
  thickness: 7.5
  minimum_distances: {Li-Li: 1.9, Li-O: 1.6, Li-Cl: 1.9, Cl-Cl: 2.5, O-Cl: 2.3}
relax_crystals: false
kept: 0.5
"""
POTENTIAL = {"kind": "pair", "radii": {"Li": 0.8, "O": 1.1, "Cl": 1.5}}
RELAX = {"backend": "serial", "max_steps": 300, "fmax": 0.5, "progress": False}


@pytest.fixture
def system(tmp_path):
    return write_system(tmp_path)


def write_system(folder):
    """The file of a system of 31 atoms, with its crystals as CIF."""
    for name, crystal in (("li2o", LI2O), ("licl", LICL)):
        ase.io.write(folder / f"{name}.cif", make_crystal(crystal, "."))
    path = folder / "pair.yaml"
    path.write_text(SYSTEM)
    return path


def build_pair(folder, n, frames):
    """Build n structures of that system, the set in `set`; the folder comes back."""
    build.build(settings(write_system(folder), n, frames=frames))
    return folder


def settings(system, n, **changes):
    given = {"potential": POTENTIAL, "relax": RELAX, "frames": 3, "folder": str(system.parent / "set")}
    return BuildSettings(system=str(system), n=n, **{**given, **changes})


def rows(folder):
    with (folder / "energies.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_set_from_two_cif_files(system):
    folder = build.build(settings(system, 6))
    stem = folder / "pair.extxyz.gz"
    crystals, table = read_structures(stem), rows(folder)
    assert crystals.counts == {"Li": 18, "O": 5, "Cl": 8}
    assert [int(row["number"]) for row in table] == list(range(6))
    kept = [row for row in table if row["kept"] == "True"]
    energies = np.array([float(row["energy_per_atom"]) for row in table])
    assert len(crystals) == len(kept) == 3
    assert max(float(row["energy_per_atom"]) for row in kept) == np.sort(energies)[2]

    potential = build.load_potential(**POTENTIAL)
    found = potential.evaluate(crystals.to_ase())[0] / len(crystals.species)
    np.testing.assert_allclose(found, [float(row["energy_per_atom"]) for row in kept], atol=1e-4)
    card = read_data_card(stem)
    assert (card.kind, card.name) == ("interface", "my pair")
    assert card.cutoff(potential.card) == pytest.approx(np.sort(energies)[2], abs=2e-8)
    assert card.made["tried"] == 6
    scale = energy_scale(card, crystals, potential, folder / "never")
    above = scale.normalise(energies, potential.card).values
    np.testing.assert_allclose(above, [float(row["interface_energy"]) for row in table], atol=1e-5)
    assert (above <= 1e-6).sum() == 3
    assert len(StructureData(str(stem)).training) == 2
    frames = dict(read_frames(relaxed.part_folders(folder / "work")[0]))
    assert sorted(frames) == list(range(6))
    text = (folder / "README.md").read_text()
    assert "Li2O (100)" in text
    assert potential.card.hash in text
    assert "system=pair.yaml n=6" in text
    for name in ("distribution.png", "structures.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_more_structures_are_added_to_what_is_there(system, tmp_path):
    build.build(settings(system, 3))
    first = rows(tmp_path / "set")
    build.build(settings(system, 5))
    both = rows(tmp_path / "set")
    columns = ("energy_per_atom", "energy_per_atom_initial", "steps", "fmax")
    assert [[row[name] for name in columns] for row in both[:3]] == [[row[name] for name in columns] for row in first]
    assert len(both) == 5
    build.build(settings(system, 5, folder=str(tmp_path / "at_once")))
    for name in ("pair.extxyz.gz", "energies.csv", "distribution.png", "structures.png", "README.md"):
        assert (tmp_path / "at_once" / name).read_bytes() == (tmp_path / "set" / name).read_bytes()
    build.build(settings(system, 2))  # fewer: nothing is lost
    assert rows(tmp_path / "set") == both


def test_interrupted_build_goes_on(system, tmp_path, monkeypatch):
    done, append = [], build.relax_structures.__globals__["relax"].__globals__["Journal"].append

    def append_and_die(journal, one):
        append(journal, one)
        done.append(one.sample)
        if len(done) == 2:
            raise KeyboardInterrupt

    journal = build.relax_structures.__globals__["relax"].__globals__["Journal"]
    monkeypatch.setattr(journal, "append", append_and_die)
    with pytest.raises(KeyboardInterrupt):
        build.build(settings(system, 4))
    build.build(settings(system, 4, collect=True))  # what is there so far
    assert len(rows(tmp_path / "set")) == 2
    build.build(settings(system, 4))
    assert len(done) == len(set(done)) == 4
    monkeypatch.undo()
    build.build(settings(system, 4, folder=str(tmp_path / "whole")))
    assert (tmp_path / "whole" / "energies.csv").read_bytes() == (tmp_path / "set" / "energies.csv").read_bytes()


def test_what_fails_is_in_the_log_and_not_in_the_set(system, tmp_path):
    build.build(settings(system, 4, relax={**RELAX, "max_steps": 60}))
    table = rows(tmp_path / "set")
    reasons = {row["reason"] for row in table}
    assert reasons == {"converged", "max_steps"}
    for row in table:
        assert (row["reason"] == "converged") == (row["energy_per_atom"] != "")
        assert row["kept"] == "False" or row["reason"] == "converged"


def test_nothing_relaxed_is_said(system):
    with pytest.raises(CryinGANError, match="0 structures are relaxed"):
        build.build(settings(system, 2, relax={**RELAX, "max_steps": 1}))


def test_work_of_another_build_is_refused(system):
    build.build(settings(system, 3))
    with pytest.raises(CryinGANError, match="holds a build with seed 0, here it is 1"):
        build.build(settings(system, 3, seed=1))
    with pytest.raises(CryinGANError, match="other settings"):
        build.build(settings(system, 4, relax={**RELAX, "fmax": 0.4}))


@pytest.mark.parametrize("which", ["potential", "first"])
def test_potential_that_does_not_know_an_element_is_refused_before_anything_is_computed(system, which):
    small = settings(system, 2, **{which: {"kind": "pair", "radii": {"Li": 0.8, "O": 1.1}}})
    with pytest.raises(CryinGANError, match="does not know Cl"):
        build.build(small)
    assert not small.work_folder.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["n=4"], "missing mandatory value: system;"),
        (["system=li2o_licl", "m=4"], "'m' not in"),
        (["system=li2o_licl", "n=many"], "many"),
        (["system=li2o_licl", "n=0"], "n=0"),
        (["system=li2o_licl", "seed=-1"], "seed=-1"),
        (["li2o_licl"], "key=value"),
    ],
)
def test_wrong_argument_is_named_in_one_line(arguments, message):
    with pytest.raises(CryinGANError, match=message) as caught:
        read_settings(arguments, BuildSettings)
    assert "\n" not in str(caught.value)


def test_command_line_keeps_the_defaults_that_it_does_not_name():
    read = read_settings(["system=li2o_licl", "potential.path=X", "relax.processes=3"], BuildSettings)
    assert read.potential == {"kind": "m3gnet", "path": "X", "device": "auto"}
    assert read.relax == {"backend": "loky", "processes": 3, "max_steps": 500}
    assert read.output == INTERFACE_SETS / "li2o_licl"


def test_command_ends_in_one_line():
    command = [sys.executable, "-m", "data.interface.build", "system=nowhere"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=INTERFACE_SETS.parents[1])
    assert result.returncode == 1
    assert result.stderr.strip().split("\n") == ["system=nowhere is neither one of li2o_licl, lsc_lco nor a YAML file"]


def test_own_set_of_the_papers(tmp_path):
    # The cell of the papers' files; c is not published and does not matter for the area.
    a, b, gamma = 12.46997, 17.19967, np.radians(75.6674)
    cell = np.array([[a, 0, 0], [b * np.cos(gamma), b * np.sin(gamma), 0], [0, 0, 40]])
    species = tuple(s for s, count in {"Li": 72, "Co": 36, "Sc": 12, "O": 72, "Cl": 72}.items() for _ in range(count))
    path = tmp_path / "train.extxyz"
    write_structures(random_crystals(5, species, cell), path)
    config = compose("data=dismai_lsc_lco", f"data.path={path}")
    data = StructureData(config.data.path, card=config.data.card)
    source = data.training_source
    card = read_data_card(source["path"], source["card"])
    potential = PotentialCard("m3gnet_int", "0" * 64, ())
    scale = energy_scale(card, data.training, Potential(potential), tmp_path)
    assert interface_area(cell) == pytest.approx(207.80370664315096)
    assert (scale.zero, scale.unit) == (-4.78, "J/m^2")
    values = scale.normalise(np.array([-4.80, -4.78, -4.77]), potential).values
    np.testing.assert_allclose(values, [-0.40709055503263, 0, 0.20354527751633], atol=1e-12)
    assert card.cutoff(PotentialCard("another", "0" * 64, ())) is None


def test_card_that_is_missing_is_named(tmp_path):
    with pytest.raises(CryinGANError, match="nowhere"):
        read_data_card(tmp_path / "x.extxyz", tmp_path / "nowhere.card.yaml")


@pytest.mark.parametrize("path", sorted(INTERFACE_SETS.glob("*/*.extxyz.gz")), ids=lambda path: path.parent.name)
def test_committed_set_is_what_its_card_says(path):
    assert path.stat().st_size < 5e6
    crystals, card, table = read_structures(path), read_data_card(path), rows(path.parent)
    made = card.made
    assert dict(crystals.counts) == made["composition"]
    assert len(crystals) == made["kept"] == sum(row["kept"] == "True" for row in table)
    assert len(table) == made["tried"]
    assert made["kept"] == round(made["kept_share"] * made["ended"]["converged"])
    assert made["vacuum"] >= 14
    for side, determinant in zip(("substrate", "film"), made["determinants"], strict=True):
        assert round(abs(np.linalg.det(made[side]["matrix"]))) == determinant
    assert interface_area(crystals.cell) == pytest.approx(made["area"], abs=1e-3)
    cutoff = card.cutoffs[0]
    energies = [atoms.info["energy_per_atom"] for atoms in ase.io.read(path, ":")]
    assert max(energies) <= cutoff["energy_per_atom"] + 1e-8
    assert [row["kept"] == "True" for row in table] == [
        row["reason"] == "converged" and float(row["energy_per_atom"]) <= cutoff["energy_per_atom"] for row in table
    ]
    for atoms in crystals[:20].to_ase():
        distances = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)]
        assert distances.min() > 1.4
    config = compose(f"data={path.parent.name}")
    assert Path(config.data.path).samefile(path)
    assert yaml.safe_load((path.parent / f"{path.parent.name}.card.yaml").read_text())["kind"] == "interface"


QUICK = {"kind": "pair", "radii": {"Li": 0.75, "O": 1.15, "Cl": 1.45}}


@pytest.mark.parametrize("without", [0, 2])
def test_structures_that_a_quicker_potential_relaxes_first(system, without):
    if without:
        build.build(settings(system, without))
    folder = build.build(settings(system, 4, first=QUICK))
    work = folder / "work"
    interface = build.assemble(
        build.read_system(system),
        *build.prepared_crystals(build.read_system(system), load_potential(**POTENTIAL), work),
    )
    starts = interface.structures(0, range(4))
    halfway = relax(starts, load_potential(**QUICK), **RELAX)
    assert halfway.converged.all()
    expected = relax(halfway.crystals, load_potential(**POTENTIAL), **RELAX).energy_final / 31
    expected[:without] = relax(starts[:without], load_potential(**POTENTIAL), **RELAX).energy_final / 31
    table = rows(folder)
    np.testing.assert_allclose([float(row["energy_per_atom"]) for row in table], expected, atol=1e-5)
    assert [row["energy_per_atom_initial"] == "" for row in table] == [number >= without for number in range(4)]
    [quicker] = yaml.safe_load((folder / "pair.card.yaml").read_text())["made"]["relaxed_first"]
    assert quicker == {"potential": "pair", "hash": load_potential(**QUICK).card.hash, "structures": 4 - without}
    assert f"{4 - without} structures relaxed with pair" in (folder / "README.md").read_text()


def test_a_build_that_goes_on_with_another_quicker_potential_or_without(system):
    build.build(settings(system, 2, first=QUICK))
    with pytest.raises(CryinGANError, match="pair relaxed first: give it again"):
        build.build(settings(system, 3))
    with pytest.raises(CryinGANError, match="potential"):
        build.build(settings(system, 3, first={**QUICK, "radii": {"Li": 0.7, "O": 1.15, "Cl": 1.45}}))
    before = rows(system.parent / "set")
    build.build(settings(system, 3, first=QUICK))
    assert rows(system.parent / "set")[:2] == [
        {**row, "interface_energy": new["interface_energy"], "kept": new["kept"]}
        for row, new in zip(before, rows(system.parent / "set"), strict=False)
    ]


def test_a_structure_that_the_quicker_potential_cannot_relax_begins_as_it_was_placed(system):
    exploding = {**QUICK, "radii": {"Li": 3.0, "O": 3.0, "Cl": 3.0}}
    relax_settings = {**RELAX, "max_energy": 20.0}
    folder = build.build(settings(system, 2, first=exploding, relax=relax_settings))
    ended = list(csv.DictReader((folder / "work" / "first_structures_000000_000001" / "relax.csv").open()))
    assert {row["reason"] for row in ended} == {"exploded"}
    alone = build.build(settings(system, 2, folder=str(system.parent / "alone"), relax=relax_settings))
    assert [row["energy_per_atom"] for row in rows(folder)] == [row["energy_per_atom"] for row in rows(alone)]


@pytest.mark.parametrize("collect", [True, False])
def test_another_crystal_of_the_same_cell_is_refused(system, collect):
    build.build(settings(system, 2))
    crystal = make_crystal(LICL, ".")
    crystal.positions[crystal.symbols == "Cl"] += [0, 0.15, 0]  # within the layer
    ase.io.write(system.parent / "licl.cif", crystal)
    with pytest.raises(CryinGANError, match="holds other structures: the system or its crystals have changed"):
        build.build(settings(system, 2, collect=collect))


@pytest.mark.parametrize(
    ("before", "after", "changes", "message"),
    [
        ("thickness: 7.5", "thickness: 7.5", {"seed": 7}, "seed 0, here it is 7"),
        ("name: my pair", "name: other", {}, "system my pair, here it is other"),
        ("thickness: 7.5", "thickness: 8", {}, "with region"),
        ("relax_crystals: false", "relax_crystals: false\nvacuum: 20", {}, "holds other structures"),
        ("Li-Li: 1.9", "Li-Li: 1.9", {"potential": QUICK}, r"was relaxed with pair \(\w{12}\), not with this pair"),
    ],
)
@pytest.mark.parametrize("collect", [True, False])
def test_settings_of_another_build_are_refused(system, before, after, changes, message, collect):
    folder = build.build(settings(system, 2))
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    system.write_text(system.read_text().replace(before, after))
    with pytest.raises(CryinGANError, match=message):
        build.build(settings(system, 2, collect=collect, **changes))
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == kept


def test_a_region_that_is_too_full_can_be_corrected(system):
    text = system.read_text()
    system.write_text(text.replace("Cl-Cl: 2.5", "Cl-Cl: 9.5"))
    with pytest.raises(CryinGANError, match="do not fit between the slabs"):
        build.build(settings(system, 2))
    system.write_text(text)
    assert len(rows(build.build(settings(system, 2)))) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relax": {**RELAX, "fmax": "abc"}}, "relax: fmax='abc' must be a number"),
        ({"relax": {**RELAX, "frames": 3}}, "relax.frames is decided by the build"),
        ({"relax": {**RELAX, "output": "x"}}, "relax.output is decided by the build"),
    ],
)
def test_relax_settings_that_cannot_be(system, changes, message):
    with pytest.raises(CryinGANError, match=message):
        build.build(settings(system, 2, **changes))


def test_too_few_steps_are_said(system):
    with pytest.raises(CryinGANError, match=r"0 structures are relaxed \(2 max_steps\), too few for a data set"):
        build.build(settings(system, 2, relax={**RELAX, "max_steps": 1}))
    with pytest.raises(CryinGANError, match=r"other settings \(max_steps is 1, here 300\): give an empty folder"):
        build.build(settings(system, 2))


def test_a_damaged_note_of_the_build_is_named(system):
    work = build.build(settings(system, 2)) / "work"
    (work / "build.json").write_text('{"system": ')
    with pytest.raises(CryinGANError, match=r"build\.json is not whole"):
        build.build(settings(system, 2))


def test_command_and_convergence_stand_in_the_card(system):
    folder = build.build(settings(system, 2, seed=3))
    text = (folder / "README.md").read_text()
    command = "build system=pair.yaml n=2 potential.kind=pair seed=3 relax.fmax=0.5 relax.max_steps=300"
    assert command in text
    assert "until no force is above 0.5 eV/Å (FIRE, at most 300 steps)" in " ".join(text.split())
    assert read_data_card(folder / "pair.extxyz.gz").made["relaxation"] == {
        "optimizer": "fire",
        "fmax": 0.5,
        "max_steps": 300,
    }


def test_collecting_where_nothing_was_built(system):
    with pytest.raises(CryinGANError, match="holds no build"):
        build.build(settings(system, 2, collect=True))


def test_a_part_that_is_gone_is_built_again(system):
    whole = build.build(settings(system, 2))
    build.build(settings(system, 4))
    rows_before = rows(whole)
    shutil.rmtree(whole / "work" / "structures_000000_000001")
    build.build(settings(system, 4))
    assert rows(whole) == rows_before


@pytest.mark.parametrize("changed", ["seed", "kept"])
def test_cutoffs_of_other_potentials_go_when_the_random_structures_or_their_share_change(system, changed, capsys):
    folder = build.build(settings(system, 3))
    card = folder / "pair.card.yaml"
    set_card.add_cutoff(card, {"potential": "other", "hash": "a" * 64, "energy_per_atom": 1.0, "random": "x"}, "other")
    system.write_text(system.read_text().replace("{file: licl.cif}", "{file: licl.cif, source: Smith (1990)}"))
    build.build(settings(system, 4))
    content = yaml.safe_load(card.read_text())
    assert [one["potential"] for one in content["cutoffs"]] == ["pair", "other"]
    assert content["made"]["film"]["source"] == "Smith (1990)"
    assert content["default_potential"] == "other"
    assert "cut-offs of" not in capsys.readouterr().err
    system.write_text(system.read_text().replace("kept: 0.5", "kept: 0.75" if changed == "kept" else "kept: 0.5"))
    given = {"seed": 7, "work": str(folder / "again")} if changed == "seed" else {}
    build.build(settings(system, 4, **given))
    content = yaml.safe_load(card.read_text())
    assert [one["potential"] for one in content["cutoffs"]] == ["pair"]
    assert "default_potential" not in content
    assert f"{card}: the cut-offs of other go, as they belong to another build" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["- a\n", "cutoffs: [3]\n", "name: [\n"])
def test_a_card_that_is_none_is_found_before_anything_is_relaxed(system, content):
    card = system.parent / "set" / "pair.card.yaml"
    card.parent.mkdir()
    card.write_text(content)
    with pytest.raises(CryinGANError, match=r"pair\.card\.yaml"):
        build.build(settings(system, 3))
    assert not (card.parent / "work").exists()
    card.write_text("name: mine\nkind: interface\n")
    build.build(settings(system, 3))
    assert yaml.safe_load(card.read_text())["made"]["tried"] == 3


def test_a_build_killed_while_the_quicker_potential_relaxed_goes_on_with_more_structures(system):
    """Nothing of what it had is lost, though no structure has begun to relax with the potential of the build."""
    whole = rows(build.build(settings(system, 5, first=QUICK, folder=str(system.parent / "whole"))))
    work = build.build(settings(system, 3, first=QUICK)) / "work"
    shutil.rmtree(work / "structures_000000_000002")
    kept = (work / "first_structures_000000_000002" / "relax.csv").read_bytes()
    build.build(settings(system, 5, first=QUICK))
    assert sorted(path.name for path in work.glob("*structures_*")) == [
        "first_structures_000000_000002",
        "first_structures_000003_000004",
        "structures_000000_000002",
        "structures_000003_000004",
    ]
    assert (work / "first_structures_000000_000002" / "relax.csv").read_bytes() == kept
    assert [row["energy_per_atom"] for row in rows(work.parent)] == [row["energy_per_atom"] for row in whole]
