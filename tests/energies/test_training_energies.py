"""Training energies: computed once, kept as they come, gone on with after a kill."""

import os
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
from cryingan.structures.crystals import Crystals
from tests.conftest import random_crystals
from tests.support.paths import ROOT

SPECIES, CELL = ("Cu", "Cu", "O", "O"), np.diag([5.0, 6.0, 7.0])
SLOW = """
import sys, time
import numpy as np
from cryingan.relaxation.settings import RelaxSettings
from cryingan.potentials.potential import load_potential
from cryingan.energies.training_energies import training_energies
from tests.energies.test_training_energies import training

potential = load_potential("pair", atoms_per_batch=4)
evaluate = potential._evaluate_batch
def slowly(frames):
    time.sleep(0.2)
    return evaluate(frames)
potential._evaluate_batch = slowly
print(training_energies(training(40), potential, sys.argv[1], RelaxSettings(backend="serial")).sum())
"""


def training(count: int) -> Crystals:
    return random_crystals(count, SPECIES, CELL)


@pytest.fixture
def pair():
    return load_potential("pair", atoms_per_batch=4)


@pytest.fixture
def evaluated(pair, monkeypatch):
    """How many structures the potential was asked for."""
    inner, counts = pair._evaluate_batch, []

    def counted(frames):
        counts.append(len(frames))
        return inner(frames)

    monkeypatch.setattr(pair, "_evaluate_batch", counted)
    return counts


def expected(structures: Crystals) -> np.ndarray:
    return load_potential("pair").evaluate(structures.to_ase())[0] / len(SPECIES)


def test_once_for_each_data_set_and_potential(pair, evaluated, tmp_path):
    structures = training(6)
    first = training_energies(structures, pair, tmp_path / "cache")
    np.testing.assert_allclose(first, expected(structures), rtol=1e-12)
    np.testing.assert_array_equal(training_energies(structures, pair, tmp_path / "cache"), first)
    assert sum(evaluated) == 6
    training_energies(structures[:5], pair, tmp_path / "cache")
    other = training_energies(structures, load_potential("pair", depth=0.6), tmp_path / "cache")
    assert sum(evaluated) == 11
    assert np.abs(other - first).min() > 0
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npy"] * 3


def test_a_failure_loses_nothing_that_is_done(pair, evaluated, tmp_path, monkeypatch):
    structures, inner = training(9), pair._evaluate_batch

    def fails_later(frames):
        if sum(evaluated) == 5:
            raise KeyboardInterrupt
        return inner(frames)

    monkeypatch.setattr(pair, "_evaluate_batch", fails_later)
    with pytest.raises(KeyboardInterrupt):
        training_energies(structures, pair, tmp_path)
    [kept] = tmp_path.glob("*.csv")
    with kept.open("ab") as file:
        file.write(b"7,-1.2")  # torn by a kill
    monkeypatch.setattr(pair, "_evaluate_batch", inner)
    np.testing.assert_allclose(training_energies(structures, pair, tmp_path), expected(structures), rtol=1e-12)
    assert sum(evaluated) == 9
    assert not kept.exists()


def test_killed_and_gone_on_with(pair, evaluated, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    end = time.monotonic() + 60
    while not (found := [path.read_bytes().count(b"\n") for path in tmp_path.glob("*.csv")]) or found[0] < 3:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.05)
    with pytest.raises(CryinGANError, match="another process computes"):
        training_energies(training(40), pair, tmp_path, deadline=time.time() + 0.3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = next(tmp_path.glob("*.csv")).read_bytes().count(b"\n")
    np.testing.assert_allclose(training_energies(training(40), pair, tmp_path), expected(training(40)), rtol=1e-12)
    assert sum(evaluated) == 40 - done


def test_time_is_up_and_the_next_call_goes_on(pair, evaluated, tmp_path, monkeypatch):
    inner = pair._evaluate_batch

    def slowly(frames):
        time.sleep(0.1)
        return inner(frames)

    monkeypatch.setattr(pair, "_evaluate_batch", slowly)
    with pytest.raises(CryinGANError, match=r"time is up with \d+ of 20 training energies.*goes on with the rest"):
        training_energies(training(20), pair, tmp_path, deadline=time.time() + 0.5)
    assert 1 <= sum(evaluated) < 20
    monkeypatch.setattr(pair, "_evaluate_batch", inner)
    np.testing.assert_allclose(training_energies(training(20), pair, tmp_path), expected(training(20)), rtol=1e-12)
    assert sum(evaluated) == 20


def test_processes_take_over_when_it_takes_long(pair, evaluated, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "SECONDS_ALONE", 0.0)
    energies = training_energies(training(12), pair, tmp_path, RelaxSettings(processes=2))
    np.testing.assert_allclose(energies, expected(training(12)), rtol=1e-12)
    assert sum(evaluated) == 1, "the others are computed in other processes"
    assert "energies 12 of 12, 0 s left" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_no_failure(pair, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    np.testing.assert_allclose(training_energies(training(3), pair, tmp_path / "file"), expected(training(3)))
    assert "cannot be kept" in caplog.text
    caplog.clear()
    monkeypatch.setattr(module.np, "save", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
    np.testing.assert_allclose(training_energies(training(3), pair, tmp_path), expected(training(3)))
    assert "No space left" in caplog.text
    assert [path.suffix for path in tmp_path.iterdir() if path.name != "file"] == [".csv"], "the energies are kept"


def test_a_structure_without_energy_is_named_and_a_wrong_backend(pair, tmp_path):
    structures = training(5)
    with pytest.raises(CryinGANError, match="unknown backend 'slurm'"):
        training_energies(structures, pair, tmp_path, RelaxSettings(backend="slurm"))
    structures.fractional[3, 1, 2] = np.nan
    with pytest.raises(CryinGANError, match="training structure 3"):
        training_energies(structures, pair, tmp_path)
