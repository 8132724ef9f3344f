import contextlib
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.io import read
from ase.optimize import FIRE
from ase.optimize.sciopt import SciPyFminCG
from omegaconf import OmegaConf

from configs.schema import RelaxKeys
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation import workers
from cryingan.relaxation.backends import CONNECT
from cryingan.relaxation.journal import Journal, read_journal
from cryingan.relaxation.one_structure import Settings
from cryingan.relaxation.optimizers import OPTIMIZERS, Fire
from cryingan.relaxation.relax import relax
from cryingan.storage.locks import lock_folder
from cryingan.structures.crystals import Crystals
from tests.support.callbacks import pool
from tests.support.paths import ROOT

SAME_STEP = 1e-10  # Angstrom or eV, float64
SAME_ENERGY = 1e-6  # eV, batch against single
CONFIGS = ROOT / "configs/relax"


def rattled(n, stdev=0.25, seed=0):
    """Copper-gold in a skewed 8-atom cell, rattled."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", a=3.5) * 2
    atoms.symbols[::3] = "Au"
    frames = [atoms.copy() for _ in range(n)]
    for frame in frames:
        frame.positions += rng.normal(0, stdev, frame.positions.shape)
    return Crystals.from_ase(frames)


@pytest.fixture
def pair():
    return load_potential("pair")


def here(crystals, potential, **settings):
    return relax(crystals, potential, backend="serial", progress=False, **settings)


class PairCalculator(Calculator):
    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        energies, forces = load_potential("pair").evaluate([self.atoms])
        self.results = {"energy": energies[0], "forces": forces[0]}


class Spoilt:
    """The pair potential with `spoil(energies, forces, frames, call)` applied to what it gives."""

    def __init__(self, spoil, atoms_per_batch=10_000):
        self.pair, self.spoil, self.calls = load_potential("pair"), spoil, 0
        self.card, self.spec, self.device, self.atoms_per_batch = self.pair.card, {}, "cpu", atoms_per_batch

    def evaluate(self, frames):
        self.calls += 1
        energies, forces = self.pair.evaluate(frames)
        self.spoil(energies, forces, frames, self.calls)
        return energies, forces


def distance(first, second):
    """Largest distance between equal atoms of two Crystals, by the nearest image, Angstrom."""
    difference = first.fractional - second.fractional
    return np.abs((difference - np.round(difference)) @ first.cell).max()


def assert_same(first, second, tolerance=0.0):
    assert first.samples.tolist() == second.samples.tolist()
    assert first.reason.tolist() == second.reason.tolist()
    assert first.steps.tolist() == second.steps.tolist()
    np.testing.assert_allclose(first.energy_final, second.energy_final, rtol=0, atol=tolerance)


# FIRE and conjugate gradients against ASE


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {
            "dt": 0.3,
            "maxstep": 0.05,
            "dtmax": 0.4,
            "nmin": 2,
            "finc": 1.3,
            "fdec": 0.4,
            "astart": 0.3,
            "fa": 0.9,
            "a": 0.2,
        },
    ],
    ids=["defaults", "all changed"],
)
def test_fire_is_ases_fire_step_by_step(pair, parameters):
    crystals = rattled(1, stdev=0.4)
    [atoms] = crystals.to_ase()
    atoms.calc = PairCalculator()
    rename = {"nmin": "Nmin"}
    optimizer = FIRE(atoms, logfile=None, **{rename.get(key, key): value for key, value in parameters.items()})
    path = []
    optimizer.attach(lambda: path.append((atoms.get_positions(), atoms.get_potential_energy())))
    optimizer.run(fmax=1e-8, steps=80)
    assert len(path) == 81

    for steps in (0, 1, 2, 3, 7, 8, 9, 15, 30, 50, 80):
        results = here(crystals, pair, fmax=1e-8, max_steps=steps, fire=parameters)
        expected = Crystals.from_ase([Atoms(atoms.symbols, path[steps][0], cell=atoms.cell, pbc=True)])
        assert distance(results.crystals, expected) < SAME_STEP
        assert results.energy_final[0] == pytest.approx(path[steps][1], abs=SAME_STEP)
        assert (results.steps[0], results.evaluations[0], results.reason[0]) == (steps, steps + 1, "max_steps")


@pytest.mark.parametrize(("name", "ase_optimizer"), [("fire", FIRE), ("cg", SciPyFminCG)])
def test_converged_like_ase(pair, name, ase_optimizer):
    crystals = rattled(3)
    results = here(crystals, pair, optimizer=name, fmax=0.03)
    for i, atoms in enumerate(crystals.to_ase()):
        atoms.calc = PairCalculator()
        assert results.energy_initial[i] == pytest.approx(atoms.get_potential_energy(), abs=SAME_STEP)
        optimizer = ase_optimizer(atoms, logfile=None)
        assert optimizer.run(fmax=0.03)
        assert results.energy_final[i] == pytest.approx(atoms.get_potential_energy(), abs=SAME_STEP)
        assert results.fmax[i] == pytest.approx(np.linalg.norm(atoms.get_forces(), axis=1).max(), abs=SAME_STEP)
        assert results.steps[i] == optimizer.nsteps
    assert results.converged.all()
    again = here(results.crystals, pair, optimizer=name, fmax=0.03)
    assert again.steps.tolist() == [0, 0, 0]
    assert again.evaluations.tolist() == [1, 1, 1]
    assert again.converged.all()


def test_cg_counts_evaluations_and_steps(pair):
    results = here(rattled(2), Spoilt(lambda *_: None), optimizer="cg", max_steps=2, fmax=1e-6)
    assert results.reason.tolist() == ["max_steps"] * 2
    assert results.steps.tolist() == [2, 2]
    assert (results.evaluations > 2).all()


def test_the_papers_verdict_tolerates_a_little_more_than_fmax(pair):
    """Dismai-Bench discards what ends above fmax + 0.001 eV/Angstrom, although it goes on until fmax is reached."""
    for name in ("cg", "fire"):
        path = [here(rattled(1), pair, optimizer=name, max_steps=steps, fmax=1e-8).fmax[0] for steps in range(9)]
        steps = int(np.argmin(path))
        ended = path[steps]
        assert ended < min(path[:steps]) - 2e-3, "nothing before would have ended it"
        for short, verdict in ((5e-4, "converged"), (2e-3, "max_steps")):
            results = here(rattled(1), pair, optimizer=name, max_steps=steps, fmax=ended - short)
            assert results.fmax[0] == pytest.approx(ended, abs=SAME_STEP), "it goes as far as it may in any case"
            assert results.steps[0] == steps
            assert results.reason[0] == (verdict if name == "cg" else "max_steps")


def test_cg_that_finds_nothing_lower_is_stalled():
    def uphill(energies, forces, frames, call):
        forces[0] *= -1

    results = here(rattled(1), Spoilt(uphill), optimizer="cg")
    assert results.reason.tolist() == ["stalled"]
    assert not results.converged[0]


# batches


def test_batch_equals_singles_in_any_order(pair):
    crystals = rattled(7)
    together = here(crystals, pair)
    assert len(set(together.steps)) > 3
    pair.atoms_per_batch = 24
    assert_same(together, here(crystals, pair), SAME_ENERGY)
    backwards = here(crystals[::-1], pair, numbers=range(6, -1, -1))
    assert_same(together, backwards, SAME_ENERGY)
    assert distance(together.crystals, backwards.crystals) < 1e-6
    for i in range(7):
        single = here(crystals[[i]], pair)
        assert single.energy_final[0] == pytest.approx(together.energy_final[i], abs=SAME_ENERGY)


def test_waiting_structures_take_the_place_of_converged_ones():
    sizes = []
    potential = Spoilt(lambda energies, *_: sizes.append(len(energies)), atoms_per_batch=24)
    results = here(rattled(7), potential)
    assert sum(sizes) == results.evaluations.sum()
    full = sizes.count(3)
    assert sizes == sorted(sizes, reverse=True)
    assert full > len(sizes) / 2


# what can go wrong with a structure


@pytest.mark.parametrize("optimizer", ["fire", "cg"])
@pytest.mark.parametrize("what", ["energy", "force", "infinite"])
def test_nan_in_one_structure_touches_no_other(pair, optimizer, what):
    crystals = rattled(5)
    starts = np.array([atoms.positions for atoms in crystals.to_ase()])
    seen = []

    def spoil(energies, forces, frames, call):
        for i, frame in enumerate(frames):
            if np.linalg.norm(starts - frame.positions, axis=(1, 2)).argmin() == 2:
                seen.append(i)
                if len(seen) > 3 and what == "energy":
                    energies[i] = np.nan
                elif len(seen) > 3:
                    forces[i][3, 1] = np.nan if what == "force" else np.inf

    results = here(crystals, Spoilt(spoil), optimizer=optimizer)
    clean = here(crystals, pair, optimizer=optimizer)
    others = [0, 1, 3, 4]
    assert results.reason[2] == "not_finite"
    assert results.failed.tolist() == [False, False, True, False, False]
    assert np.isfinite([results.energy_initial[2], results.energy_final[2], results.fmax[2]]).all()
    assert np.isfinite(results.crystals.fractional).all()
    assert results.energy_final[others].tolist() == clean.energy_final[others].tolist()
    assert results.crystals.fractional[others].tolist() == clean.crystals.fractional[others].tolist()


def test_faults_at_the_start(pair, tmp_path):
    crystals = rattled(4)
    crystals.fractional[0, 3] = crystals.fractional[0, 5]
    crystals.fractional[1, 4] = [0.001, 0.5, 0.5]
    crystals.fractional[1, 6] = [0.999, 0.5, 0.5]
    crystals.fractional[2, 0, 0] = np.nan
    results = here(crystals, pair, output=tmp_path)
    assert results.reason.tolist() == ["too_close", "too_close", "not_finite", "converged"]
    assert results.failed.tolist() == [True, True, True, False]
    assert results.evaluations.tolist()[:3] == [0, 0, 0]
    assert np.isnan(results.energy_final[:3]).all()
    assert_same(results, here(crystals, pair, output=tmp_path))


@pytest.mark.parametrize("bound", [{"max_force": 0.5}, {"max_energy": 0.1}, {"max_displacement": 0.01}])
def test_bounds_of_explosion(pair, bound):
    results = here(rattled(2), pair, **bound)
    assert results.reason.tolist() == ["exploded", "exploded"]
    assert results.failed.all()
    assert not results.converged.any()


def test_flying_atom_is_exploded_and_stops(pair):
    def blow(energies, forces, frames, call):
        forces[0][0] = [50.0, 0, 0]

    results = here(rattled(3), Spoilt(blow, atoms_per_batch=8))
    assert set(results.reason) == {"exploded"}
    assert (results.steps < 100).all()


@pytest.mark.parametrize("optimizer", ["fire", "cg"])
def test_time_budget(monkeypatch, optimizer):
    clock = SimpleNamespace(now=1000.0, time=lambda: clock.now)
    monkeypatch.setattr("cryingan.relaxation.relax.time", clock)
    monkeypatch.setattr("cryingan.relaxation.optimizers.time", clock)

    def take_a_second(*_):
        clock.now += 1

    potential = Spoilt(take_a_second, atoms_per_batch=8)
    results = here(rattled(20), potential, optimizer=optimizer, time_budget=39.5, fmax=0.5)
    assert potential.calls == 40
    assert results.reason.tolist() == sorted(results.reason)
    assert set(results.reason) == {"converged", "time"}
    assert np.isnan(results.energy_final[-1])


# results on disk


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
    """Run `work` in a forked process; kill -9 it `delay` seconds after `grown()` says so."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    while not grown() and process.is_alive():
        time.sleep(0.001)
    time.sleep(delay)
    process.kill()
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


@pytest.mark.parametrize("cut", [1, 40, 0])
@pytest.mark.parametrize("name", ["relax.csv", "relaxed.extxyz"])
def test_torn_end_is_dropped(pair, tmp_path, name, cut):
    expected = here(rattled(4), pair, output=tmp_path)
    content = (tmp_path / name).read_bytes()
    last_line = content.splitlines(keepends=True)[-1]
    (tmp_path / name).write_bytes(content[: -(cut or len(last_line))])
    journal = Journal(tmp_path, rattled(4), np.arange(4), pair.card, Settings())
    assert journal.finished == {0, 1, 2}
    assert_same(expected, here(rattled(4), pair, output=tmp_path))
    assert (tmp_path / name).read_bytes() == content


def test_keyboard_interrupt_keeps_results_and_time_is_no_end(pair, tmp_path):
    def interrupt(energies, forces, frames, call):
        if call == 120:
            raise KeyboardInterrupt

    crystals = rattled(8)
    with pytest.raises(KeyboardInterrupt):
        here(crystals, Spoilt(interrupt, atoms_per_batch=8), output=tmp_path)
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


# processes and clusters


def kill_when_rows(table, pids, rows=1):
    def watch():
        while not (table.exists() and table.read_bytes().count(b"\n") > rows):
            time.sleep(0.002)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def test_processes_of_this_machine(pair, tmp_path, time_limit, caplog, capfd):
    time_limit(120)
    from joblib import Parallel, delayed, parallel_config

    crystals = rattled(60)
    few = relax(crystals[:6], pair, processes=2, progress=False)
    assert_same(here(crystals[:6], pair), few, SAME_ENERGY)

    with CONNECT["loky"](None) as options, parallel_config(**options):
        [pid, *_] = Parallel(2)(delayed(os.getpid)() for _ in range(2))
    assert pid != os.getpid()
    kill_when_rows(tmp_path / "relax.csv", [pid])
    results = relax(crystals, pair, processes=2, output=tmp_path, progress=False)
    assert_same(results, here(crystals, pair), SAME_ENERGY)
    [line] = [line for line in caplog.messages if "worker" in line]
    assert re.fullmatch(r"a worker process died, perhaps for lack of memory; going on with \d+ structures", line)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("deadly", [[0], range(12)], ids=len)
def test_structures_that_kill_every_worker_stop_few_others(tmp_path, time_limit, caplog, deadly):
    time_limit(120)
    crystals = Crystals(np.full((12, 1, 3), 0.01), np.eye(3) * 10, ("Cu",))
    crystals.fractional[deadly] += 0.1
    potential = load_potential("ase", calculator="tests.support.deadly.PickyCalculator")
    with pytest.raises(CryinGANError, match="a worker process died, 3 times with nothing done in between, perhaps"):
        relax(crystals, potential, processes=2, output=tmp_path, progress=False)
    missing = set(range(12)) - {relaxed.sample for relaxed in read_journal(tmp_path, 1)}
    assert set(deadly) <= missing
    assert len(missing) <= len(deadly) + 3, "others may be in work when the last worker dies"
    assert len([line for line in caplog.messages if line.startswith("a worker process died")]) >= 2


MANY = """
import sys
import numpy as np
from tests.test_relax import rattled
from cryingan.potentials import load_potential
from cryingan.relax import relax
relax(rattled(500), load_potential("pair"), processes=2, fmax=1e-9, max_steps=100_000, output=sys.argv[1])
"""


def test_workers_end_with_their_parent(tmp_path, time_limit):
    time_limit(120)
    process = subprocess.Popen([sys.executable, "-c", MANY, str(tmp_path)], cwd=ROOT, start_new_session=True)
    try:
        while not (tmp_path / "relax.csv").exists() or not pool(process.pid):
            assert process.poll() is None
            time.sleep(0.1)
        time.sleep(2)  # they are at work
        assert pool(process.pid)
        process.kill()
        process.wait()
        end = time.monotonic() + 6
        while pool(process.pid) and time.monotonic() < end:
            time.sleep(0.1)
        assert not pool(process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_worker_loads_its_potential_once_and_uses_one_thread(monkeypatch):
    loads, threads = [], torch.get_num_threads()
    monkeypatch.setattr(workers, "load_potential", lambda **spec: loads.append(spec) or load_potential(**spec))
    workers._potential_of_this_worker.cache_clear()
    crystals = rattled(2)
    task = workers.Task('{"kind": "pair"}', crystals.cell, crystals.species, Settings(), np.inf)
    try:
        torch.set_num_threads(2)
        ended = [workers.relax_in_worker((task, i, crystals.fractional[i])) for i in range(2)]
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
        workers._potential_of_this_worker.cache_clear()
    assert [relaxed.reason for relaxed in ended] == ["converged", "converged"]
    assert loads == [{"kind": "pair"}]


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs="CRITICAL"
    ) as cluster:
        yield cluster


@pytest.mark.parametrize("gives_up", [False, True])
def test_dask_loses_a_worker(pair, tmp_path, cluster, gives_up, time_limit, caplog):
    time_limit(120)
    cluster.scheduler.allowed_failures = 0 if gives_up else 3
    pids = cluster_pids(cluster)
    kill_when_rows(tmp_path / "relax.csv", pids if gives_up else pids[:1])
    crystals = rattled(100 if gives_up else 16)
    arguments = {"backend": "dask", "address": cluster.scheduler_address, "output": tmp_path, "progress": False}
    results = relax(crystals, pair, fmax=1e-6, **arguments)
    assert_same(here(crystals, pair, fmax=1e-6), results, SAME_ENERGY)
    assert set(pids) != set(cluster_pids(cluster))
    assert ("a worker process died" in caplog.text) is gives_up


def cluster_pids(cluster):
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


@pytest.mark.parametrize(("backend", "module"), [("dask", "dask.distributed"), ("ray", "ray")])
def test_missing_cluster_software_is_named(pair, monkeypatch, backend, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CryinGANError, match="pip install"):
        relax(rattled(1), pair, backend=backend, progress=False)


def test_unreachable_dask_scheduler_is_named(pair):
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    with pytest.raises(CryinGANError, match="no Dask scheduler"):
        relax(rattled(1), pair, backend="dask", progress=False)


# the call


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "bfgs"}, "unknown optimizer 'bfgs': use fire or cg"),
        ({"backend": "slurm"}, "unknown backend 'slurm'"),
        ({"fmx": 0.1}, "unexpected keyword argument 'fmx'"),
        ({"fire": {"timestep": 1}}, "unexpected keyword argument 'timestep'"),
        ({"fmax": 0.0}, "must be positive"),
        ({"max_steps": -1}, "must be positive"),
        ({"max_steps": 2.5}, "max_steps=2.5 must be a whole number"),
        ({"frames": True}, "frames=True must be a whole number"),
        ({"max_force": "large"}, "max_force='large' must be a number"),
        ({"numbers": [1, 1]}, "different sample numbers"),
        ({"numbers": [1]}, "different sample numbers"),
        ({"output": __file__}, "cannot be made"),
    ],
)
def test_wrong_arguments_end_in_one_line(pair, arguments, message):
    with pytest.raises(CryinGANError, match=message) as caught:
        relax(rattled(2), pair, **{"backend": "serial", "progress": False, **arguments})
    assert "\n" not in str(caught.value)


def test_hand_made_potential_cannot_travel():
    with pytest.raises(CryinGANError, match="load_potential"):
        relax(rattled(1), Spoilt(lambda *_: None), processes=2, progress=False)


def test_gpu_potential_stays_in_this_process():
    potential = Spoilt(lambda *_: None)
    potential.device = "cuda:0"
    assert relax(rattled(1), potential, processes=2, progress=False).converged.all()


@pytest.mark.parametrize("terminal", ["", "1"])
def test_progress_goes_to_stderr(pair, capsys, monkeypatch, terminal):
    monkeypatch.setenv("FORCE_COLOR", terminal)
    results = relax(rattled(3), pair, backend="serial")
    assert len(results) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("relaxed 3 of 3, 0 s left" in captured.err) is not bool(terminal)
    assert ("3/3" in captured.err or "100%" in captured.err) is bool(terminal)


def test_no_structures(pair, tmp_path):
    assert len(here(rattled(1)[:0], pair, output=tmp_path)) == 0


@pytest.mark.parametrize("path", [CONFIGS / f"{name}.yaml" for name in OPTIMIZERS], ids=lambda path: path.stem)
def test_configs_show_the_defaults(path):
    config = OmegaConf.to_container(OmegaConf.load(path))
    defaults = asdict(Settings()) | OmegaConf.to_container(OmegaConf.structured(RelaxKeys))
    own = {name: value for name, value in config.items() if name not in ("optimizer", "fire")}
    assert own == {name: defaults[name] for name in own}
    assert config.get("fire", {}).items() <= vars(Fire()).items()


@pytest.mark.parametrize("path", [CONFIGS / f"{name}.yaml" for name in OPTIMIZERS], ids=lambda path: path.stem)
def test_configs_are_arguments_of_relax(pair, path):
    config = OmegaConf.load(path)
    assert config.optimizer == path.stem
    results = relax(rattled(1), pair, **{**config, "backend": "serial", "progress": False})
    assert_same(results, here(rattled(1), pair, optimizer=path.stem))


def test_threads_of_a_worker_do_not_share_a_calculator():
    """Dask's workers have several threads by default; ASE's calculators keep the structure that they compute."""
    rng = np.random.default_rng(0)
    copper = bulk("Cu", cubic=True).repeat(2)
    fractional = copper.get_scaled_positions() + rng.normal(0, 0.01, (8, len(copper), 3))
    crystals = Crystals(fractional, np.asarray(copper.cell), tuple(copper.get_chemical_symbols()))
    potential = load_potential("ase", calculator="ase.calculators.emt.EMT")
    expected = relax(crystals, potential, backend="serial", max_steps=5, progress=False)
    task = workers.Task(json.dumps(potential.spec), crystals.cell, crystals.species, Settings(max_steps=5), np.inf)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(workers.relax_in_worker, [(task, i, x) for i, x in enumerate(crystals.fractional)]))
    workers._potential_of_this_worker.cache_clear()
    np.testing.assert_allclose([one.energy_final for one in found], expected.energy_final, atol=1e-9)
