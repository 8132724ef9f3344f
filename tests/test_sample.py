import json
import subprocess
import sys
import warnings
from dataclasses import asdict

import numpy as np
import pytest
import torch
from ase.io import read
from pymatgen.core import Structure

from benchmarks.reference_cycle import ReferenceGenerator
from configs.schema import plain
from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.relaxation.settings import FireSettings
from cryingan.samples.plan import plan_as_in_run
from cryingan.storage.hashes import file_hash
from cryingan.structures.files import read_structures
from cryingan.training.checkpoints import load_model
from sample import announce, keys_given, sample
from tests.support.paths import ROOT
from tests.support.sampling import compose


@pytest.mark.parametrize("form", ["extxyz", "cif", "poscar"])
def test_samples_read_back_equal_in_every_format(checkpoint, tmp_path, structures_file, form):
    path = sample(compose(f"checkpoint={checkpoint}", "n=5", f"format={form}", f"output={tmp_path / 'out'}"))
    expected = load_model(checkpoint).sample(5, seed=1)
    original = read(structures_file)
    files = sorted(path.iterdir()) if path.is_dir() else []
    frames = [read(file) for file in files] or read(path, ":")
    assert len(frames) == 5
    for frame, fractional in zip(frames, expected.fractional, strict=True):
        np.testing.assert_allclose(frame.cell.cellpar(), original.cell.cellpar(), atol=1e-6)
        assert frame.get_chemical_symbols() == original.get_chemical_symbols()
        difference = frame.get_scaled_positions() - fractional
        np.testing.assert_allclose(difference - difference.round(), 0, atol=1e-6)
    for file in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # coincident atoms of an untrained generator
            found = Structure.from_file(file, site_tolerance=0, **({"frac_tolerance": 0} if form == "cif" else {}))
        assert found.composition.as_dict() == expected.counts
        assert found.lattice.abc == pytest.approx(np.linalg.norm(expected.cell, axis=1), abs=1e-6)


def test_a_run_folder_gives_its_best_checkpoint(checkpoint, tmp_path):
    run = tmp_path / "run"
    samples = [sample(compose(f"checkpoint={path}", "n=2", f"output={tmp_path / 'out'}")) for path in (checkpoint, run)]
    assert json.loads((tmp_path / "out/manifest.json").read_text())["source"] == "last.ckpt"
    assert samples[0] == samples[1]
    checkpoint.rename(run / "checkpoints/best.ckpt")
    sample(compose(f"checkpoint={run}", "n=2", f"output={tmp_path / 'out'}"))
    assert json.loads((tmp_path / "out/manifest.json").read_text())["source"] == "best.ckpt"
    (tmp_path / "empty").mkdir()
    with pytest.raises(CryinGANError, match="holds no checkpoints"):
        sample(compose(f"checkpoint={tmp_path / 'empty'}"))


def test_same_seed_same_bytes_and_a_manifest_that_tells_why(checkpoint, tmp_path):
    outputs = []
    for name, seed, batch_size in (("a", 1, 256), ("b", 1, 256), ("c", 2, 256)):
        settings = (f"seed={seed}", f"batch_size={batch_size}", f"output={tmp_path / name}")
        outputs.append(sample(compose(f"checkpoint={checkpoint}", "n=20", *settings)))
    first, again, other = (path.read_bytes() for path in outputs)
    assert first == again != other
    assert (tmp_path / "a/manifest.json").read_bytes() == (tmp_path / "b/manifest.json").read_bytes()
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    assert manifest["source_sha256"] == file_hash(checkpoint)
    assert manifest["n"] == 20
    assert manifest["seed"] == 1
    assert manifest["settings"]["species"] == list(load_model(checkpoint).hparams.species)


def test_samples_that_replace_others_say_so(checkpoint, tmp_path, capsys):
    def said(*keys):
        sample(compose(f"checkpoint={checkpoint}", f"output={tmp_path / 'out'}", *keys))
        return capsys.readouterr().out

    assert "they replace" not in said("n=3")
    assert "they replace" not in said("n=3")
    assert "they replace 3 structures of seed 1 from last.ckpt; output=FOLDER" in said("n=2")
    assert "they replace 2 structures" in said("n=2", "temperature=0.5")


@pytest.mark.parametrize(
    ("found", "what"), [("relax.json", "relaxations"), ("evaluation_interface/metrics.json", "scores")]
)
@pytest.mark.parametrize("form", ["extxyz", "poscar"])
def test_results_of_other_samples_are_not_left_beside_these(checkpoint, tmp_path, found, what, form):
    keys = (f"checkpoint={checkpoint}", f"format={form}", f"output={tmp_path / 'out'}")
    sample(compose(*keys, "n=3"))
    (tmp_path / "out" / found).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / found).write_text("{}")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    for other in (("n=2",), ("n=3", "seed=2"), ("n=3", "temperature=0.5")):
        with pytest.raises(OtherResultsError, match=f"out holds {what} of other samples: give an empty folder"):
            sample(compose(*keys, *other))
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    sample(compose(*keys, "n=3"))


@pytest.mark.parametrize("content", ["{", "[1]", '{"settings": null}', '{"settings": []}'])
def test_a_manifest_that_is_none_of_samples_is_said_in_one_line(checkpoint, tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/manifest.json").write_text(content)
    with pytest.raises(CryinGANError, match=r"manifest\.json (cannot be read|is not of samples)"):
        sample(compose(f"checkpoint={checkpoint}", "n=1", f"output={tmp_path / 'out'}"))


def test_the_command_needs_nothing_but_the_checkpoint(checkpoint, tmp_path):
    script = ROOT / "sample.py"
    command = [sys.executable, str(script), f"checkpoint={checkpoint}", "n=3", f"output={tmp_path / 'out'}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("3 structures in")
    assert len(read(tmp_path / "out/samples.extxyz", ":")) == 3


def test_upstream_generators_sample(tmp_path, structures_file):
    reference = ReferenceGenerator(n_atoms=10, latent_dim=8, channels=10, widths=(12, 14, 16))
    for _ in range(3):
        reference(torch.randn(4, 8))
    torch.save(reference.state_dict(), tmp_path / "generator_100")
    settings = (f"upstream={tmp_path / 'generator_100'}", f"reference={structures_file}", f"output={tmp_path / 'out'}")
    path = sample(compose(*settings, "n=4"))
    crystals = read_structures(structures_file)
    frames = read(path, ":")
    assert len(frames) == 4
    assert frames[0].get_chemical_symbols() == list(crystals.species)
    model_noise = torch.randn(1024, 8, generator=generator_of_samples())[:4]
    with torch.no_grad():
        grouped = reference.eval()(model_noise).numpy()
    expected = grouped[:, np.argsort(crystals.grouping)]
    found = np.stack([frame.get_scaled_positions() for frame in frames])
    np.testing.assert_allclose(found - expected - (found - expected).round(), 0, atol=1e-5)


def generator_of_samples():
    from cryingan.randomness import generator

    return generator(1, "sample", 0)


def test_a_device_that_is_not_there_is_named(checkpoint):
    with pytest.raises(CryinGANError, match="nonsense"):
        sample(compose(f"checkpoint={checkpoint}", "device=nonsense"))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ((), "give one of checkpoint=PATH, rival=random data=NAME, structures=FILE relax=true and upstream"),
        (
            ("checkpoint=a", "upstream=b"),
            "give one of checkpoint=PATH, rival=random data=NAME, structures=FILE relax=true and upstream",
        ),
        (("upstream=b",), "reference=FILE"),
        (("checkpoint=a", "n=0"), "n=0"),
        (("checkpoint=a",), "a cannot be read"),
    ],
)
def test_what_cannot_be_sampled(overrides, said):
    with pytest.raises(CryinGANError, match=said):
        sample(compose(*overrides))


def test_a_potential_that_is_not_there_leaves_no_samples(checkpoint, tmp_path, structures_file):
    missing = ("relax=true", "potential=m3gnet", f"potential.path={tmp_path / 'none'}", f"training={structures_file}")
    with pytest.raises(CryinGANError, match="none of potential m3gnet does not exist"):
        sample(compose(f"checkpoint={checkpoint}", "n=2", *missing, f"output={tmp_path / 'out'}"))
    assert not (tmp_path / "out").exists()


RUN = {
    "relax": {"optimizer": "cg", "fmax": 0.1, "max_steps": 50, "fire": {}, "processes": 7, "time_budget": 60.0},
    "callbacks": {"relax": {"thresholds": [0.5], "repair_distance": 1.2, "n_samples": 4}},
}


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ({"relax": "run"}, {}),
        ({"relax": "run", "relax.fmax": "0.05"}, {"fmax": 0.05}),
        ({"relax": "fire"}, {"optimizer": "fire"}),
        ({"relax": "run", "relax.fire.dt": "0.2"}, {"fire": asdict(FireSettings(dt=0.2))}),
        (
            {"relax": "run", "thresholds": "[0]", "repair_distance": "1.5"},
            {"thresholds": [0.0], "repair_distance": 1.5},
        ),
    ],
)
def test_what_the_command_line_does_not_say_the_run_does(monkeypatch, arguments, changed):
    monkeypatch.setattr("sample.given", lambda: arguments)
    settings = plain(compose("potential=pair", *(f"{name}={value}" for name, value in arguments.items())))
    plan = plan_as_in_run(settings, RUN, keys_given())
    expected = {"optimizer": "cg", "fmax": 0.1, "max_steps": 50, "thresholds": [0.5], "repair_distance": 1.2, **changed}
    found = {**plan.relax, "thresholds": plan.thresholds, "repair_distance": plan.repair_distance}
    assert {name: found[name] for name in expected} == expected
    assert plan.relax["processes"] is None  # where the work is done is not the run's business
    assert plan.relax["time_budget"] is None
    assert all(f"{name}={value}" in plan.summary_line() for name, value in expected.items() if name != "fire")
    alone = plan_as_in_run(settings, {}, keys_given())
    assert alone.relax == settings["relax"]
    assert (alone.thresholds, alone.repair_distance) == (settings["thresholds"] or (0.0,), settings["repair_distance"])


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (RUN, "relaxing as the run did, unless the command line says otherwise: optimizer=cg"),
        ({**RUN, "callbacks": {}}, "relaxing (the run itself relaxed no samples): optimizer=cg"),
        ({}, ""),
    ],
)
@pytest.mark.parametrize("potential", ["pair", "ase"])
def test_how_samples_are_relaxed_is_printed(capsys, run, said, potential):
    settings = plain(compose("relax=run", f"potential={potential}"))
    announce(plan_as_in_run(settings, run), run)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("; ")[0].partition(":")[0] for line in lines if "only for" in line] == [
        "potential=pair is only for trying things out"
    ] * (potential == "pair")
    assert [line.startswith(said) for line in lines if "relaxing" in line] == [True] * bool(run)
