"""The folders of a run's evaluations: finished, set aside, never mixed."""

import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from callbacks.relax_samples import RelaxSamples
from callbacks.relaxed_epochs import RelaxedEpochs
from cryingan.errors import CryinGANError
from cryingan.samples.folder import read_summary
from cryingan.storage.checkpoint import read_checkpoint
from tests.conftest import random_crystals
from tests.support.callbacks import InterruptedRun
from tests.support.relaxed_runs import KEYS, RELAX, rows
from train import train

pytestmark = pytest.mark.usefixtures("copied_worker", "undrawn")


@pytest.mark.parametrize("mode", ["inline", "background"])
def test_an_evaluation_that_was_cut_off_is_finished(tiny, tmp_path, whole, mode):
    run = tmp_path / "run"
    settings = (*RELAX, f"callbacks.relax.mode={mode}")
    with pytest.raises(InterruptedRun):
        train(tiny(*settings, "+callbacks.stop={_target_: tests.support.callbacks.StopAfter, epoch: 2}"))
    cut_off(run, 1)
    train(tiny(*settings))
    assert (run / "metrics.csv").read_bytes() == (whole / "inline/metrics.csv").read_bytes()
    table = run / "relaxed/epoch_000004/energies.csv"
    before = table.read_bytes()
    cut_off(run, 3)
    train(tiny(*settings))  # training was over
    assert (run / "metrics.csv").read_bytes() == (whole / "inline/metrics.csv").read_bytes()
    assert table.read_bytes() == before


def cut_off(run, epoch):
    """Leave a folder as a kill does in the middle of an evaluation."""
    folder = run / f"relaxed/epoch_{epoch + 1:06d}"
    for path in folder.glob("*"):
        if path.name not in ("samples.extxyz", "relax.json", "relax.csv", "relaxed.extxyz"):
            path.unlink()
    if (folder / "relax.csv").exists():
        lines = (folder / "relax.csv").read_bytes().splitlines(keepends=True)
        (folder / "relax.csv").write_bytes(b"".join(lines[:-2]))
    with (run / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    for row in table:
        row.update(dict.fromkeys(KEYS & set(row) if int(row["epoch"]) == epoch else (), ""))
    with (run / "metrics.csv").open("w") as file:
        writer = csv.DictWriter(file, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


@pytest.mark.parametrize("mode", ["inline", "background"])
def test_what_other_settings_gave_is_set_aside(tiny, tmp_path, mode, capsys, caplog):
    run = tmp_path / "run"
    settings = (*RELAX, f"callbacks.relax.mode={mode}")
    train(tiny(*settings, "trainer.max_epochs=2"))
    cut_off(run, 1)
    before = (run / "relaxed/epoch_000002/relax.csv").read_bytes()
    train(tiny(*settings, "relax.fmax=0.2", "trainer.max_epochs=4"))
    assert "results of other settings are now in epoch_000002.1" in capsys.readouterr().out + caplog.text
    assert (run / "relaxed/epoch_000002.1/relax.csv").read_bytes() == before
    fmax = [json.loads((run / f"relaxed/epoch_00000{n}/relax.json").read_text())["settings"]["fmax"] for n in (2, 4)]
    assert fmax == [0.2, 0.2]
    samples = [(run / f"relaxed/epoch_000002{end}/samples.extxyz").read_bytes() for end in ("", ".1")]
    assert samples[0] == samples[1]
    assert [set(row) & KEYS for row in rows(run)] == [set(), KEYS, set(), KEYS]
    train(tiny(*settings, "relax.fmax=0.2", "trainer.max_epochs=5"))  # nor is the folder aside taken for an evaluation
    assert set(rows(run)[4]) > KEYS


@pytest.mark.parametrize("mode", ["inline", "background"])
@pytest.mark.parametrize("kept", ["summaries", "best.ckpt"])
def test_energies_of_another_potential_or_data_card_do_not_join(tiny, tmp_path, structures_file, mode, kept):
    run, data = tmp_path / "run", tmp_path / "data.extxyz"
    shutil.copy(structures_file, data)
    settings = (*RELAX, f"callbacks.relax.mode={mode}", f"data.path={data}")
    train(tiny(*settings, "trainer.max_epochs=3"))
    if kept == "best.ckpt":
        shutil.rmtree(run / "relaxed")
    else:
        for path in (run / "checkpoints").glob("*.ckpt"):
            content = read_checkpoint(path)
            del content["relaxed_energies"]
            torch.save(content, path)
    written = [run / "metrics.csv", run / "config.yaml"]
    before = [path.read_bytes() for path in written]
    with pytest.raises(CryinGANError, match=r"has energies in eV/atom of pair .* cannot be mixed; use the same"):
        train(tiny(*settings, "potential.depth=0.4"))
    card = tmp_path / "data.card.yaml"
    card.write_text("kind: interface")
    with pytest.raises(CryinGANError, match=r"now they would be in J/m\^2 of pair"):
        train(tiny(*settings))
    if (mode, kept) != ("background", "best.ckpt"):  # whose candidate was stored before its zero was known
        card.write_text("rule: maximum")
        with pytest.raises(CryinGANError, match=r"zero at .* zero at"):
            train(tiny(*settings))
    assert [path.read_bytes() for path in written] == before
    card.unlink()
    train(tiny(*settings))
    assert set(rows(run)[3]) > KEYS


def test_relaxations_of_an_earlier_training_are_set_aside(tiny, tmp_path, capsys):
    run, settings = tmp_path / "run", (*RELAX, "callbacks.relax.every_n_epochs=1", "callbacks.relax.mode=inline")
    train(tiny(*settings, "trainer.max_epochs=1"))
    first = rows(run)
    relaxed = run / "relaxed/epoch_000001/relax.csv"
    born = relaxed.stat().st_mtime_ns
    shutil.rmtree(run / "checkpoints")
    train(tiny(*settings, "trainer.max_epochs=1"))  # as after a kill before the first checkpoint
    assert f"{run / 'relaxed'} is of an earlier training and is now {run / 'relaxed.1'}" in capsys.readouterr().out
    assert rows(run) == first
    assert relaxed.stat().st_mtime_ns > born
    assert not (run / "relaxed.1/epoch_000001").exists()
    shutil.rmtree(run / "checkpoints")
    train(tiny(*settings, "seed=2", "callbacks.relax.every_n_epochs=2"))
    assert [set(row) & KEYS for row in rows(run)] == [set(), KEYS, set(), KEYS]
    assert (run / "relaxed.2/epoch_000001/relaxed.json").exists()
    assert not (run / "relaxed/epoch_000001").exists()


def test_samples_that_cannot_be_stored_do_not_end_training(tiny, tmp_path, capsys):
    blocked = tmp_path / "run/relaxed/epoch_000004"
    train(tiny(*RELAX, "callbacks.relax.mode=inline", "trainer.max_epochs=2"))
    blocked.write_text("in the way")
    train(tiny(*RELAX, "callbacks.relax.mode=inline"))
    assert "epoch 4: the samples are not relaxed: " in capsys.readouterr().out
    assert len(rows(tmp_path / "run")) == 4


def test_every_epoch_and_every_seed_has_samples_of_its_own(tmp_path):
    """With weights that no longer change, too."""
    relaxed, asked, submitted = (
        RelaxSamples({"kind": "pair"}, {}, every_n_epochs=2, n_samples=7, temperature=1.5),
        [],
        [],
    )
    relaxed.relaxer = SimpleNamespace(submit=submitted.append, poll=list)
    for run, seed in enumerate((1, 2, 1)):
        relaxed.epochs = RelaxedEpochs(tmp_path / str(run))
        module = SimpleNamespace(
            hparams=SimpleNamespace(seed=seed),
            sample=lambda *given, temperature: (
                asked.append((*given, temperature)),
                random_crystals(1, ("Li", "O"), np.eye(3) * 9),
            )[1],
        )
        for epoch in range(6):
            trainer = SimpleNamespace(is_global_zero=True, current_epoch=epoch, max_epochs=9, should_stop=False)
            relaxed.on_train_epoch_end(trainer, module)
    assert [folder.name for folder in submitted] == ["epoch_000002", "epoch_000004", "epoch_000006"] * 3
    assert {(n, temperature) for n, _, temperature in asked} == {(7, 1.5)}
    assert len({seed for _, seed, _ in asked[:6]}) == 6
    assert asked[6:] == asked[:3], "an evaluation that is repeated has the same samples"


@pytest.mark.parametrize(
    ("given", "epochs", "between"),
    [
        (None, 100_000, 1000),
        (None, 2000, 1000),
        (None, 100, 50),
        (None, 101, 51),
        (None, 3, 2),
        (None, 1, 1),
        (None, 0, 1),
        (30, 100, 30),
    ],
)
def test_a_short_training_is_relaxed_half_way_and_at_its_end(given, epochs, between):
    relaxed = RelaxSamples({"kind": "pair"}, {}, every_n_epochs=given)
    assert relaxed.interval(SimpleNamespace(max_epochs=epochs)) == between


def test_an_interrupted_look_at_the_untrained_generator_is_taken_again(tiny, tmp_path, capsys):
    arguments = (*RELAX, "callbacks.relax.mode=inline", "callbacks.relax.before=true")
    train(tiny(*arguments, "trainer.max_epochs=2"))
    (tmp_path / "run/relaxed/epoch_000000/relaxed.json").unlink()
    capsys.readouterr()
    train(tiny(*arguments))
    assert capsys.readouterr().out.count("before training: 4 samples") == 1


def test_folders_of_earlier_versions_are_read(tmp_path, whole):
    folder = RelaxedEpochs(tmp_path).of(1)
    shutil.copytree(whole / "inline/relaxed" / folder.name, folder)
    summary = read_summary(folder)
    (folder / "relaxed.json").rename(folder / "summary.json")
    assert read_summary(folder) == summary
    [scale] = RelaxedEpochs(tmp_path).scales()
    assert scale["zero_ev_per_atom"] == summary["zero_ev_per_atom"]
