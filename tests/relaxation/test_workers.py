"""Processes of this machine and clusters: the same results, whatever of them dies."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from ase.build import bulk

from cryingan.errors import CryinGANError
from cryingan.potentials.pair import PairPotential
from cryingan.potentials.potential import load_potential
from cryingan.potentials.settings import PairSettings
from cryingan.relaxation import workers
from cryingan.relaxation.backends import CONNECT
from cryingan.relaxation.journal import read_journal
from cryingan.relaxation.settings import RelaxSettings
from cryingan.structures.crystals import Crystals
from tests.support.callbacks import pool
from tests.support.paths import ROOT
from tests.support.relaxations import SAME_ENERGY, assert_same, here, quietly, rattled


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
    few = quietly(crystals[:6], pair, processes=2)
    assert_same(here(crystals[:6], pair), few, SAME_ENERGY)

    with CONNECT["loky"](None) as options, parallel_config(**options):
        [pid, *_] = Parallel(2)(delayed(os.getpid)() for _ in range(2))
    assert pid != os.getpid()
    kill_when_rows(tmp_path / "relax.csv", [pid])
    results = quietly(crystals, pair, processes=2, output=tmp_path)
    assert_same(results, here(crystals, pair), SAME_ENERGY)
    [line] = [line for line in caplog.messages if "worker" in line]
    assert re.fullmatch(r"a worker process died, perhaps for lack of memory; continuing with \d+ structures", line)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("deadly", [[0], range(12)], ids=len)
def test_structures_that_kill_every_worker_stop_few_others(tmp_path, time_limit, caplog, deadly):
    time_limit(120)
    crystals = Crystals(np.full((12, 1, 3), 0.01), np.eye(3) * 10, ("Cu",))
    crystals.fractional[deadly] += 0.1
    potential = load_potential("ase", calculator="tests.support.deadly.PickyCalculator")
    with pytest.raises(CryinGANError, match="a worker process died, 3 times with nothing done in between, perhaps"):
        quietly(crystals, potential, processes=2, output=tmp_path)
    missing = set(range(12)) - {relaxed.sample for relaxed in read_journal(tmp_path, 1)}
    assert set(deadly) <= missing
    assert len(missing) <= len(deadly) + 3, "others may be in work when the last worker dies"
    assert len([line for line in caplog.messages if line.startswith("a worker process died")]) >= 2


MANY = """
import sys
from cryingan.potentials.pair import PairPotential
from cryingan.potentials.potential import load_potential
from cryingan.potentials.settings import PairSettings
from tests.support.relaxations import quietly, rattled
quietly(rattled(500), load_potential("pair"), processes=2, fmax=1e-9, max_steps=100_000, output=sys.argv[1])
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
    crystals = rattled(2)
    task = workers.Task('{"kind": "pair", "depth": 0.51}', RelaxSettings(), np.inf)
    try:
        torch.set_num_threads(2)
        ended = [workers.relax_in_worker((task, i, crystals[i])) for i in range(2)]
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert [relaxed.reason for relaxed in ended] == ["converged", "converged"]
    assert loads == [{"kind": "pair", "depth": 0.51}]


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
    crystals = rattled(40 if gives_up else 16)
    arguments = {"backend": "dask", "address": cluster.scheduler_address, "output": tmp_path}
    results = quietly(crystals, pair, fmax=1e-6, **arguments)
    assert_same(here(crystals, pair, fmax=1e-6), results, SAME_ENERGY)
    assert set(pids) != set(cluster_pids(cluster))
    assert ("a worker process died" in caplog.text) is gives_up


def cluster_pids(cluster):
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def test_missing_cluster_software_is_named(pair, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(CryinGANError, match="pip install"):
        quietly(rattled(1), pair, backend="dask")


def test_unreachable_dask_scheduler_is_named(pair):
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    with pytest.raises(CryinGANError, match="no Dask scheduler"):
        quietly(rattled(1), pair, backend="dask")


def test_hand_made_potential_cannot_travel():
    with pytest.raises(CryinGANError, match="load_potential"):
        quietly(rattled(1), PairPotential(PairSettings()), processes=2)


def test_gpu_potential_stays_in_this_process(pair):
    pair.device = "cuda:0"
    assert quietly(rattled(1), pair, processes=2).converged.all()


def test_threads_of_a_worker_do_not_share_a_calculator():
    """Dask's workers have several threads by default; ASE's calculators keep the structure that they compute."""
    rng = np.random.default_rng(0)
    copper = bulk("Cu", cubic=True).repeat(2)
    fractional = copper.get_scaled_positions() + rng.normal(0, 0.01, (8, len(copper), 3))
    crystals = Crystals(fractional, np.asarray(copper.cell), tuple(copper.get_chemical_symbols()))
    potential = load_potential("ase", calculator="ase.calculators.emt.EMT")
    expected = here(crystals, potential, max_steps=5)
    task = workers.Task(json.dumps(potential.spec), RelaxSettings(max_steps=5), np.inf)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(workers.relax_in_worker, [(task, i, crystals[i]) for i in range(len(crystals))]))
    np.testing.assert_allclose([one.energy_final for one in found], expected.energy_final, atol=1e-9)
