"""Run folders as trainings leave them, written without training."""

import json

import numpy as np
import yaml
from ase import Atoms

from cryingan.models.registry import MODELS
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures

CELL = np.diag([6.0, 7.0, 8.0])
SPECIES = ("Li", "Li", "Li", "Cl", "O")
POTENTIAL = {"potential": "pair", "potential_hash": "ab" * 32, "unit": "eV/atom", "zero_ev_per_atom": -1.5, "factor": 1}
SAMPLES = 6
KEYS = ("samples/f1", "samples/close_pairs", "train/score_difference")


def config(kind="cryingan", seed=1, weight=0.05, epochs=4, **more):
    """The settings of a run, in groups as config.yaml has them."""
    model = {"_target_": MODELS[kind].target, "seed": seed}
    if kind == "cryingan":
        model |= {"distance_weight": weight, "pooling": "avg", "channels": 8}
    return {
        "lambda": weight,
        "pooling": "avg",
        "seed": seed,
        "run_dir": f"runs/{kind}{weight}{seed}",
        "data": {"path": "set.extxyz", "batch_size": 8},
        "model": model,
        "trainer": {"max_epochs": epochs},
        "callbacks": {"quality": {"n": 32}, "relax": {"n_samples": SAMPLES}},
        **more,
    }


def write_run(folder, settings, epochs=4, relaxed=True):
    """Write a run folder; its values depend on seed and lambda, and are returned by key, shape (epochs,)."""
    random = np.random.default_rng([settings["seed"], round(100 * settings["lambda"])])
    values = {key: random.random(epochs) for key in KEYS}
    rows = [{"epoch": epoch, **{key: values[key][epoch] for key in KEYS}} for epoch in range(epochs)]
    if relaxed and epochs:
        values |= write_relaxed(folder / f"relaxed/epoch_{epochs:06d}", random)
        rows[-1] |= {key: value for key, value in values.items() if key.startswith("relax/")}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    columns = sorted({key for row in rows for key in row} - {"epoch"})
    lines = [",".join(["epoch", *columns])]
    lines += [
        ",".join([str(row["epoch"]), *(repr(float(row[c])) if c in row else "" for c in columns)]) for row in rows
    ]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    of_sets = {"training set": {"samples/f1": 0.9, "samples/close_pairs": 0.0}, "random atoms": {"samples/f1": 0.1}}
    (folder / "summary.json").write_text(json.dumps({"epochs": epochs, "samples": 32, "trained": {}, **of_sets}))
    record = {"command": "python train.py seed=1", "version": "0.1.0", "commit": "abc", "data_sha256": "c" * 64}
    (folder / "run.json").write_text(json.dumps({**record, "failed": None}))
    times = [f"{epoch},{10.0 * (epoch + 1)}" for epoch in range(epochs)]
    (folder / "times.csv").write_text("\n".join(["epoch,seconds", *times]) + "\n")
    return values


def write_relaxed(folder, random):
    """Write the folder of samples of which the last one is not relaxed; returns what was logged of them."""
    folder.mkdir(parents=True)
    crystals = Crystals(random.random((SAMPLES, len(SPECIES), 3)), CELL, SPECIES)
    write_structures(crystals, folder / "samples.extxyz")
    frames = crystals.to_ase()[:-1]
    for sample, atoms in enumerate(frames):
        atoms.info["sample"] = sample
    write_frames(folder / "relaxed.extxyz", frames)
    energies = random.normal(0.3, 0.4, SAMPLES - 1)
    rows = [f"{i},0,{energy!r},eV/atom,converged" for i, energy in enumerate(energies.tolist())]
    rows += [f"{SAMPLES - 1},3,,eV/atom,not_repaired"]
    (folder / "energies.csv").write_text("\n".join(["sample,close_pairs,energy,unit,reason", *rows]) + "\n")
    reference = [f"training,{energy!r}" for energy in random.normal(0, 0.2, 20).tolist()]
    reference += [f"random,{energy!r}" for energy in random.normal(1, 0.2, 20).tolist()]
    (folder / "reference_energies.csv").write_text("\n".join(["set,energy", *reference]) + "\n")
    values = {"relax/fraction_below_0": (energies <= 0).sum() / SAMPLES, "relax/failed": 1 / SAMPLES}
    values |= {"relax/fraction_below_0_low": 0.1, "relax/fraction_below_0_high": 0.8, "relax/f1": random.random()}
    beside = {"training": {"relax/fraction_below_0": 0.5, "relax/f1": 0.95}, "random": {"relax/fraction_below_0": 0.0}}
    summary = {"values": values, "samples": SAMPLES, **beside, **POTENTIAL}
    (folder / "relaxed.json").write_text(json.dumps(summary))
    return values


def write_frames(path, frames: list[Atoms]):
    """Write structures with their numbers."""
    from ase.io import write

    write(path, frames, format="extxyz")


def write_sweep(folder):
    """Two values of lambda with two seeds each, one linear model, and a run that is not relaxed; their folders."""
    runs = {f"lambda{weight}_seed{seed}": config(weight=weight, seed=seed) for weight in (0.0, 0.05) for seed in (1, 2)}
    values = {name: write_run(folder / name, settings) for name, settings in runs.items()}
    values["linear"] = write_run(folder / "linear", config("linear", seed=3))
    values["raw"] = write_run(folder / "raw", config(weight=0.1, seed=4), epochs=3, relaxed=False)
    return values
