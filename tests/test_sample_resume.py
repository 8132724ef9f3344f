"""A killed `sample.py` of a model that samples in steps: the same command draws what is missing."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.models.finished_batches import FinishedBatch, finished_batches
from cryingan.models.registry import model_class
from sample import sample
from tests.support.sampling import compose
from tests.support.small_models import checkpoint_of, small_model

SETTINGS = {"unimat": {"elements": "strict", "steps": 2}}


class KilledError(Exception):
    pass


@pytest.fixture
def command(tmp_path):
    """A function from a folder and further keys to the samples of a checkpoint, in batches of two."""

    def run(folder, *keys, kind="flow", n=7):
        path = tmp_path / f"{kind}.ckpt"
        if not path.exists():
            checkpoint_of(small_model(kind, **SETTINGS.get(kind, {})), path)
        settings = (f"checkpoint={path}", f"n={n}", "batch_size=2", f"output={tmp_path / folder}", *keys)
        return sample(compose(*settings)).parent

    return run


@pytest.fixture
def batches(monkeypatch):
    """A function that has a batch end the command, -1 for none; the sizes of those that are drawn are in its list."""
    originals = {}

    def kill_at(kind, last):
        model, drawn = model_class(kind), []
        name = "candidates" if kind == "unimat" else "generate"
        whole = originals.setdefault(kind, getattr(model, name))

        def counted(self, sources, **sampler):
            if len(drawn) == last:
                raise KilledError
            drawn.append(len(sources))
            return whole(self, sources, **sampler)

        monkeypatch.setattr(model, name, counted)
        return drawn

    return kill_at


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize("kind", ["flow", "unimat"])
def test_the_same_command_gives_what_an_uninterrupted_one_does(command, batches, monkeypatch, tmp_path, kind):
    monkeypatch.setattr("cryingan.models.unet.unimat.ATTEMPTS", 1)
    whole = contents(command("whole", kind=kind))
    assert set(whole) == {"samples.extxyz", "manifest.json"}
    batches(kind, 2)
    with pytest.raises(KilledError):
        command("killed", kind=kind)
    assert set(contents(tmp_path / "killed")) == {"unfinished_samples"}
    drawn = batches(kind, -1)
    assert contents(command("killed", kind=kind)) == whole
    assert drawn == [2, 1]
    rejected = {"unimat": {"candidates": 7, "kept": 7}}.get(kind)
    assert json.loads(whole["manifest.json"]).get("rejected") == rejected


def test_more_samples_begin_with_those_that_are_there(command, batches, monkeypatch, tmp_path):
    whole = contents(command("whole", n=9))
    batches("flow", 2)
    with pytest.raises(KilledError):
        command("killed", n=7)
    drawn = batches("flow", 3)
    assert contents(command("killed", n=9)) == whole
    assert drawn == [2, 2, 1]


def test_another_command_does_not_take_them(command, batches, tmp_path):
    batches("flow", 1)
    with pytest.raises(KilledError):
        command("killed")
    kept = contents(tmp_path / "killed")
    batches("flow", -1)
    others = {"seed=2": "seed", "batch_size=3": "batch_size", "+sampler.steps=3": "steps", "+sampler.heun=true": "heun"}
    for key, named in others.items():
        with pytest.raises(OtherResultsError, match=f"killed holds results with other {named}: give another output$"):
            command("killed", key)
    assert contents(tmp_path / "killed") == kept
    assert set(contents(command("killed", "+sampler.steps=5"))) == {
        "samples.extxyz",
        "manifest.json",
    }  # the model's own


def test_nothing_is_left_of_a_command_that_drew_nothing(command, batches, tmp_path):
    batches("flow", 0)
    with pytest.raises(KilledError):
        command("killed")
    with pytest.raises(CryinGANError, match="has no such key"):
        command("killed", "+sampler.colour=2")
    assert not (tmp_path / "killed").exists()


def test_a_torn_batch_is_drawn_again(command, batches, monkeypatch, tmp_path):
    whole = contents(command("whole"))
    batches("flow", 2)
    with pytest.raises(KilledError):
        command("killed")
    part = tmp_path / "killed/unfinished_samples"
    part.write_bytes(part.read_bytes()[:-1])
    drawn = batches("flow", -1)
    assert contents(command("killed")) == whole
    assert drawn == [2, 2, 1]


def test_samples_are_not_drawn_again_after_a_kill_in_their_relaxation(command, batches, monkeypatch, tmp_path):
    def killed(*_):
        raise KilledError

    monkeypatch.setattr("sample.load_relaxer", lambda plan: plan)
    monkeypatch.setattr("sample.relax", killed)
    relaxed = ("relax=run", "potential=pair")
    with pytest.raises(KilledError):
        command("killed", *relaxed)
    assert set(contents(tmp_path / "killed")) == {"unfinished_samples", "samples.extxyz", "manifest.json"}
    drawn = batches("flow", -1)
    monkeypatch.setattr("sample.relax", lambda *_: None)
    assert set(contents(command("killed", *relaxed))) == {"samples.extxyz", "manifest.json"}
    assert drawn == []


def test_a_second_command_is_refused_and_leaves_the_folder_of_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr("cryingan.storage.locks.SECONDS_TO_WAIT", 0.1)
    folder, batch = tmp_path / "samples", FinishedBatch(np.zeros((2, 3, 3)), {})
    with finished_batches(folder / "unfinished", {"seed": 1}, stay=True) as first:
        with ThreadPoolExecutor(1) as other, pytest.raises(CryinGANError, match="another process is at work"):
            other.submit(_in_the_same_folder, folder / "unfinished").result()
        first.keep(range(2), batch)
    with finished_batches(folder / "unfinished", {"seed": 1}) as again:
        assert list(again.known) == [range(2)]
    assert not folder.exists()


def _in_the_same_folder(path):
    with finished_batches(path, {"seed": 1}):
        pytest.fail("two commands are at work in one folder")
