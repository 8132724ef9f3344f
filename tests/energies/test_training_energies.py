"""Training energies: computed once, kept as they are computed, resumed after a kill."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cryingan.energies import training_energies as module
from cryingan.energies.training_energies import training_energies
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.settings import RelaxSettings
from cryingan.storage import records
from cryingan.structures.crystals import Crystals
from tests.conftest import random_crystals
from tests.support.paths import ROOT
from tests.support.potentials import CountingPotential

SPECIES, CELL = ("Cu", "Cu", "O", "O"), np.diag([5.0, 6.0, 7.0])
SLOW = """
import sys, time
from cryingan.energies.training_energies import training_energies
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.settings import RelaxSettings
from tests.energies.test_training_energies import training
from tests.support.potentials import CountingPotential

potential = CountingPotential(load_potential("pair", atoms_per_batch=4), lambda *_: time.sleep(0.2))
print(training_energies(training(40), potential, sys.argv[1], RelaxSettings(backend="serial")).sum())
"""


def training(count: int) -> Crystals:
    return random_crystals(count, SPECIES, CELL)


@pytest.fixture
def pair():
    return CountingPotential(load_potential("pair", atoms_per_batch=4))


def expected(structures: Crystals) -> np.ndarray:
    return load_potential("pair").evaluate(structures.to_ase())[0] / len(SPECIES)


def kept(folder):
    """How many energies the only file of a folder holds."""
    paths = list(folder.glob("*.records"))
    return len(re.findall(rb"\[\d+, ", paths[0].read_bytes())) if paths else 0


def test_once_for_each_data_set_and_potential(pair, tmp_path):
    structures = training(6)
    first = training_energies(structures, pair, tmp_path / "cache")
    np.testing.assert_allclose(first, expected(structures), rtol=1e-12)
    np.testing.assert_array_equal(training_energies(structures, pair, tmp_path / "cache"), first)
    assert sum(pair.batches) == 6
    training_energies(structures[:5], pair, tmp_path / "cache")
    other = training_energies(structures, load_potential("pair", depth=0.6), tmp_path / "cache")
    assert sum(pair.batches) == 11
    assert np.abs(other - first).min() > 0
    assert len(list((tmp_path / "cache").glob("*.records"))) == 3


@pytest.mark.parametrize("change", ["moved", "order", "cell", "species"])
def test_other_structures_have_energies_of_their_own(pair, tmp_path, change):
    structures = training(3)
    training_energies(structures, pair, tmp_path)
    fractional, cell, species = structures.fractional.copy(), structures.cell.copy(), structures.species
    if change == "moved":
        fractional[1, 2, 0] += 1e-5
    elif change == "order":
        fractional = fractional[[1, 0, 2]]
    elif change == "cell":
        cell[2, 2] += 1e-4
    else:
        species = ("Cu", "O", "Cu", "O")
    other = Crystals(fractional, cell, species)
    np.testing.assert_allclose(training_energies(other, pair, tmp_path), expected(other), rtol=1e-12)
    assert sum(pair.batches) == 6


def test_a_failure_loses_nothing_that_is_done(pair, tmp_path):
    structures = training(9)

    def fail(energies, forces, frames, call):
        if call == 6:
            raise KeyboardInterrupt

    pair.spoil = fail
    with pytest.raises(KeyboardInterrupt):
        training_energies(structures, pair, tmp_path)
    assert kept(tmp_path) == 5
    with next(tmp_path.glob("*.records")).open("ab") as file:
        file.write(b"7,-1.2")  # torn by a kill
    np.testing.assert_allclose(training_energies(structures, pair, tmp_path), expected(structures), rtol=1e-12)
    assert sum(pair.batches) == 9 + 1, "that of the interrupted call is computed again"


def test_killed_and_resumed(pair, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    end = time.monotonic() + 60
    while kept(tmp_path) < 3:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.05)
    with pytest.raises(CryinGANError, match="another process computes training energies"):
        training_energies(training(40), pair, tmp_path, deadline=time.time() + 0.3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = kept(tmp_path)
    np.testing.assert_allclose(training_energies(training(40), pair, tmp_path), expected(training(40)), rtol=1e-12)
    assert sum(pair.batches) == 40 - done


def test_time_is_up_and_the_next_call_computes_the_rest(pair, tmp_path):
    pair.spoil = lambda *_: time.sleep(0.1)
    with pytest.raises(
        CryinGANError, match=r"time is up with \d+ of 20 training energies.*next call computes the rest"
    ):
        training_energies(training(20), pair, tmp_path, deadline=time.time() + 0.5)
    assert 1 <= sum(pair.batches) < 20
    pair.spoil = lambda *_: None
    np.testing.assert_allclose(training_energies(training(20), pair, tmp_path), expected(training(20)), rtol=1e-12)
    assert sum(pair.batches) == 20


def test_processes_take_over_when_it_takes_long(pair, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "SECONDS_ALONE", 0.0)
    energies = training_energies(training(12), pair, tmp_path, RelaxSettings(processes=2))
    np.testing.assert_allclose(energies, expected(training(12)), rtol=1e-12)
    assert sum(pair.batches) == 1, "the others are computed in other processes"
    assert "energies 12 of 12, 0 s left" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_no_failure(pair, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    np.testing.assert_allclose(training_energies(training(3), pair, tmp_path / "file"), expected(training(3)))
    assert "computed again next time" in caplog.text
    caplog.clear()
    full, calls = OSError(28, "No space left"), []

    def fill_up(file, record):
        calls.append(record)
        if len(calls) == 3:  # after the key and one energy
            raise full
        return write(file, record)

    write = records.write_record
    monkeypatch.setattr(records, "write_record", fill_up)
    np.testing.assert_allclose(training_energies(training(3), pair, tmp_path), expected(training(3)))
    assert "No space left" in caplog.text
    assert kept(tmp_path) == 1, "what could be written is kept"


def test_a_structure_without_energy_is_named_and_a_wrong_backend(pair, tmp_path):
    structures = training(5)
    with pytest.raises(CryinGANError, match="unknown backend 'slurm'"):
        training_energies(structures, pair, tmp_path, RelaxSettings(backend="slurm"))
    structures.fractional[3, 1, 2] = np.nan
    with pytest.raises(CryinGANError, match="training structure 3"):
        training_energies(structures, pair, tmp_path)
