"""Results on disk: whole after a kill, sorted at the end, refused to other structures, potentials and settings."""

import json
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pytest
from ase.io import read

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.journal import Journal, projections, read_journal
from cryingan.relaxation.repair import repair
from cryingan.relaxation.settings import FireSettings, RelaxSettings
from cryingan.storage.locks import lock_folder
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures
from tests.support.paths import ROOT
from tests.support.potentials import CountingPotential
from tests.support.relaxations import assert_same, distance, here, rattled


def test_folder_holds_a_row_and_a_frame_per_sample(pair, tmp_path):
    results = here(rattled(3), pair, output=tmp_path, numbers=[30, 4, 12])
    lines = [line.split(",") for line in (tmp_path / "relax.csv").read_text().splitlines()]
    frames = read(tmp_path / "relaxed.extxyz", index=":")
    assert [int(line[0]) for line in lines[1:]] == [4, 12, 30] == [frame.info["sample"] for frame in frames]
    assert [float(line[2]) for line in lines[1:]] == results.energy_final.tolist()
    assert [frame.get_potential_energy() for frame in frames] == pytest.approx(results.energy_final, abs=1e-8)
    assert distance(results.crystals, Crystals.from_ase(frames)) < 1e-7
    scaled = np.array([frame.cell.scaled_positions(frame.positions) for frame in frames])
    assert (np.abs(scaled - 0.5) < 0.5 + 1e-7).all()
    assert lines[1][-1] == frames[0].info["potential"] == f"pair:{pair.card.hash[:12]}"
    assert_same(here(rattled(3), pair, numbers=[30, 4, 12]), results)


def run_and_kill(work, grown, delay):
    """Runs `work` in a forked process, which kills itself `delay` seconds after `grown()` says so."""

    def kill_when_grown():
        while not grown():
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGKILL)

    def killed():
        threading.Thread(target=kill_when_grown, daemon=True).start()
        work()

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_ten_kills_lose_nothing_and_relax_nothing_twice(pair, tmp_path, monkeypatch, time_limit):
    time_limit(120)
    crystals, rng = rattled(80), np.random.default_rng(1)
    pair.atoms_per_batch = 24
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected = here(crystals, pair, output=whole)
    table = killed / "relax.csv"
    before = []
    for _ in range(10):
        enough = len(before) + rng.integers(1, 6)
        run_and_kill(
            lambda: here(crystals, pair, output=killed),
            lambda enough=enough: table.exists() and table.read_bytes().count(b"\n") > enough,
            rng.uniform(0, 0.01),
        )
        rows = table.read_text().splitlines(keepends=True)[1:]
        rows = [row for row in rows if row.endswith("\n")]
        samples = [row.split(",")[0] for row in rows]
        assert len(samples) == len(set(samples))
        assert set(before) <= set(rows)
        before = rows
    assert 10 <= len(before) < 80

    appended = []
    append = Journal.append
    monkeypatch.setattr(Journal, "append", lambda self, relaxed: appended.append(relaxed) or append(self, relaxed))
    results = here(crystals, pair, output=killed)
    assert len(appended) in (80 - len(before), 80 - len(before) - 1)
    assert_same(expected, results)
    for name in ("relax.csv", "relaxed.extxyz"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_two_calls_at_once_relax_nothing_twice(pair, tmp_path, monkeypatch, time_limit):
    time_limit(60)
    appended, append = [], Journal.append
    monkeypatch.setattr(
        Journal, "append", lambda self, relaxed: appended.append(relaxed.sample) or append(self, relaxed)
    )
    expected = here(rattled(20), pair)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(here, rattled(20), load_potential("pair"), output=tmp_path) for _ in range(2)]
        for call in calls:
            assert_same(expected, call.result())
    assert sorted(appended) == list(range(20))


def test_a_folder_at_work_is_refused_but_not_to_its_owner(pair, tmp_path, monkeypatch):
    monkeypatch.setattr("cryingan.storage.locks.SECONDS_TO_WAIT", 0.3)
    with lock_folder(tmp_path), ThreadPoolExecutor(1) as threads:
        with pytest.raises(CryinGANError, match=f"another process is at work in {tmp_path}"):
            threads.submit(here, rattled(1), pair, output=tmp_path).result()
        assert not (tmp_path / "relax.csv").exists()
        assert here(rattled(1), pair, output=tmp_path).converged.all()
        with pytest.raises(CryinGANError, match="another process"):  # its own lock is kept
            threads.submit(here, rattled(1), pair, output=tmp_path).result()
    assert here(rattled(1), pair, output=tmp_path).converged.all()


@pytest.mark.parametrize("name", ["relax.csv", "relaxed.extxyz"])
def test_a_file_torn_at_any_byte_loses_its_last_sample_alone(pair, tmp_path, name, monkeypatch):
    crystals, settings = rattled(4), RelaxSettings()
    expected = here(crystals, pair, output=tmp_path)
    files = {path: path.read_bytes() for path in (tmp_path / "relax.csv", tmp_path / "relaxed.extxyz")}
    monkeypatch.setattr("os.fsync", lambda _: None)  # which takes most of the time
    whole = files[tmp_path / name].splitlines(keepends=True)
    last = b"".join(whole[-1 if name == "relax.csv" else -10 :])
    for cut in range(1, len(last) + 1):
        for path, content in files.items():
            path.write_bytes(content)
        (tmp_path / name).write_bytes(files[tmp_path / name][:-cut])
        assert Journal(tmp_path, crystals, range(4), pair.card, settings).finished == {0, 1, 2}, cut
    assert_same(expected, here(crystals, pair, output=tmp_path))
    assert (tmp_path / name).read_bytes() == files[tmp_path / name]


def test_keyboard_interrupt_keeps_results_and_time_is_no_end(pair, tmp_path):
    def interrupt(energies, forces, frames, call):
        if call == 120:
            raise KeyboardInterrupt

    crystals = rattled(8)
    with pytest.raises(KeyboardInterrupt):
        here(crystals, CountingPotential(load_potential("pair", atoms_per_batch=8), interrupt), output=tmp_path)
    done = (tmp_path / "relax.csv").read_text().splitlines()[1:]
    assert 1 <= len(done) < 8
    late = here(crystals, pair, output=tmp_path, time_budget=1e-9)
    assert late.reason.tolist().count("time") == 8 - len(done)
    assert_same(here(crystals, pair), here(crystals, pair, output=tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crystals": rattled(3, seed=5)}, "other structures"),
        ({"numbers": [1, 2, 3]}, "other structures"),
        ({"potential": load_potential("pair", depth=0.4)}, "other potential"),
        ({"fmax": 0.1}, "other settings"),
        ({"fire": {"dt": 0.2}}, "other settings"),
    ],
)
def test_folder_of_something_else_is_refused(pair, tmp_path, change, message):
    here(rattled(3), pair, output=tmp_path)
    content = (tmp_path / "relax.csv").read_bytes()
    with pytest.raises(CryinGANError, match=message):
        here(**{"crystals": rattled(3), "potential": pair, "output": tmp_path, **change})
    assert (tmp_path / "relax.csv").read_bytes() == content
    (tmp_path / "relax.json").unlink()
    with pytest.raises(CryinGANError, match=r"no relax\.json"):
        here(rattled(3), pair, output=tmp_path)


def rounded_elsewhere(crystals):
    """Coordinates and cell one unit in the last place up, as another processor may round them."""
    fractional, cell = (np.nextafter(values, np.inf) for values in (crystals.fractional, crystals.cell))
    return Crystals(fractional, cell, crystals.species)


def test_structures_of_one_source_are_the_same_on_every_processor(pair, tmp_path):
    """Without a source their coordinates decide, up to rounding."""
    crystals = rattled(3)
    expected = here(crystals, pair, output=tmp_path / "known", source="a file")
    again = here(rounded_elsewhere(crystals), CountingPotential(pair), output=tmp_path / "known", source="a file")
    assert_same(expected, again)
    here(crystals, pair, output=tmp_path / "unknown")
    assert_same(expected, here(rounded_elsewhere(crystals), pair, output=tmp_path / "unknown"))
    for source in ("another file", None):
        with pytest.raises(CryinGANError, match="other structures"):
            here(crystals, pair, output=tmp_path / "known", source=source)


@pytest.mark.parametrize("change", ["order", "fewer", "species", "cell", "moved", "nowhere"])
def test_other_structures_are_refused(pair, tmp_path, change):
    crystals = rattled(3)
    here(crystals, pair, output=tmp_path)
    fractional, cell, species = crystals.fractional.copy(), crystals.cell.copy(), list(crystals.species)
    if change == "order":
        fractional = fractional[[1, 0, 2]]
    elif change == "fewer":
        fractional = fractional[:2]
    elif change == "species":
        species[0], species[1] = species[1], species[0]
    elif change == "cell":
        cell[2, 2] += 1e-4
    elif change == "moved":
        fractional[1, 4, 2] += 1e-5
    else:
        fractional[2, 3, 1] = np.nan
    with pytest.raises(CryinGANError, match="other structures"):
        here(Crystals(fractional, cell, tuple(species)), pair, output=tmp_path)


def test_a_folder_of_an_earlier_version_is_resumed(pair, tmp_path):
    """It told structures by projections of their coordinates, and left out what FIRE has by default."""
    expected = here(rattled(3), pair, output=tmp_path)
    manifest = json.loads((tmp_path / "relax.json").read_bytes())
    manifest["structures"] = {"kind": manifest["structures"]["kind"], "projections": projections(rattled(3)).tolist()}
    manifest["settings"]["fire"] = {}
    (tmp_path / "relax.json").write_text(json.dumps(manifest))
    potential = CountingPotential(pair)
    assert_same(expected, here(rattled(3), potential, output=tmp_path))
    assert not potential.batches
    here(rattled(3), potential, output=tmp_path, fire=asdict(FireSettings()))
    for other in ({"fire": {"dt": 0.2}}, {"numbers": [0, 1, 5]}):
        with pytest.raises(CryinGANError, match="with other"):
            here(rattled(3), pair, output=tmp_path, **other)


def test_a_folder_of_version_0_1_0_is_of_the_structures_that_it_began_with(pair, tmp_path):
    crystals = rattled(4)
    expected = here(crystals, pair, output=tmp_path)
    manifest = json.loads((tmp_path / "relax.json").read_text())
    del manifest["structures"]["source"]
    manifest["structures"]["projections"] = projections(crystals).tolist()
    (tmp_path / "relax.json").write_text(json.dumps(manifest))
    rounded = Crystals(crystals.fractional + 1e-13, crystals.cell, crystals.species)
    assert_same(here(rounded, pair, output=tmp_path), expected)
    with pytest.raises(OtherResultsError, match="other structures"):
        here(rattled(4, seed=1), pair, output=tmp_path)


def test_projections_are_those_of_version_0_1_0():
    old = json.loads((ROOT / "tests/old_run/run/relaxed/epoch_000002/relax.json").read_text())
    samples = read_structures(ROOT / "tests/old_run/run/relaxed/epoch_000002/samples.extxyz", closest=0)
    repaired, _ = repair(samples)
    assert projections(repaired) == pytest.approx(old["structures"]["projections"], abs=1e-6)


def test_settings_of_a_later_version_are_other_settings(pair, tmp_path):
    here(rattled(2), pair, output=tmp_path)
    manifest = json.loads((tmp_path / "relax.json").read_text())
    manifest["settings"]["key_of_tomorrow"] = 1
    (tmp_path / "relax.json").write_text(json.dumps(manifest))
    with pytest.raises(OtherResultsError, match=f"{tmp_path} holds relaxations with other settings"):
        here(rattled(2), pair, output=tmp_path)


def without_contacts(folder):
    """Make relax.csv one of an earlier version."""
    path = folder / "relax.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    column = lines[0].index("contacts")
    path.write_text("".join(",".join(line[:column] + line[column + 1 :]) + "\n" for line in lines))


@pytest.mark.parametrize("left", [0, 2, 5], ids="{} rows".format)
def test_rows_of_an_earlier_version_get_their_contacts_on_resume(tmp_path, left):
    """The first structure is apart, the others have Cl2; the potential moves nothing."""
    places = np.array(
        [[[0.1, 0.1, 0.1], [0.6, 0.6, 0.1], [0.1, 0.1, 0.6], [0.6, 0.1, 0.1 * n]] for n in (6, 5, 4, 3, 2)]
    )
    places[1:, 3] = [0.1, 0.1, 0.85]
    crystals, still = Crystals(places, 8 * np.eye(3), ("Li", "Li", "Cl", "Cl")), load_potential("pair", depth=1e-6)
    expected = here(crystals, still, output=tmp_path)
    assert [found and [pair for pair, _ in found] for found in expected.contacts] == [[], *[["Cl-Cl"]] * 4]
    whole = (tmp_path / "relax.csv").read_bytes()
    assert [line.split(",")[-2] for line in whole.decode().splitlines()] == ["contacts", "none", *["Cl-Cl 2.00"] * 4]
    lines = (tmp_path / "relaxed.extxyz").read_bytes().splitlines(keepends=True)
    (tmp_path / "relaxed.extxyz").write_bytes(b"".join(lines[: 6 * left]))
    without_contacts(tmp_path)
    assert len(read_journal(tmp_path, 4)) == left
    assert_same(expected, here(crystals, still, output=tmp_path))
    assert (tmp_path / "relax.csv").read_bytes() == whole
