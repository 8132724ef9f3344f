"""Write samples of a trained generator: `python sample.py checkpoint=PATH n=1000`, with `relax=true` relaxed ones, too.

`python sample.py structures=FILE relax=true` relaxes structures of any origin, `evaluate=interface` scores what comes
out; `--help` lists every key.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.entry import given, run
from configs.schema import plain, sample_schema
from cryingan.errors import CryinGANError
from cryingan.samples.folder import FIGURE, RELAXED, SAMPLE_MANIFEST

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cryingan.models.cryingan.gan import CryinGAN
    from cryingan.samples.plan import Plan

SETTINGS = ("optimizer", "fmax", "max_steps", "min_distance", "max_force", "max_energy", "max_displacement", "fire")
JUDGING = ("thresholds", "repair_distance")


def sample(config: DictConfig) -> Path:
    """Write exactly `n` structures and a manifest that says where they come from; the structures' path comes back.

    Raises:
        CryinGANError: a setting or a file cannot be used.
    """
    from cryingan import __version__
    from cryingan.devices import resolve_device
    from cryingan.samples.folder import store_samples
    from cryingan.storage.atomic import make_folder, replace_file
    from cryingan.storage.hashes import file_hash
    from cryingan.structures.files import write_structures
    from cryingan.training.checkpoints import best_checkpoint

    settings = plain(config)
    if settings["checkpoint"] is not None:
        settings["checkpoint"] = str(best_checkpoint(settings["checkpoint"]))
    if settings["n"] < 1 or settings["batch_size"] < 1:
        raise CryinGANError(f"n={settings['n']} and batch_size={settings['batch_size']} must be at least 1")
    if settings["structures"] is not None:
        return relax_file(settings)
    if settings["relax"] is not None and settings["checkpoint"] and not Path(settings["checkpoint"]).is_file():
        raise CryinGANError(f"checkpoint={settings['checkpoint']} is not there")
    plan = relaxation(settings) if settings["relax"] is not None else None
    scoring = evaluation(settings)
    model, source = load(settings)
    model.to(resolve_device(settings["device"]))
    crystals = model.sample(settings["n"], settings["seed"], settings["batch_size"])
    folder = make_folder(settings["output"])
    form = settings["format"]
    if plan is not None:
        store_samples(crystals, folder)
    path = folder / (f"samples.{form}" if form == "extxyz" else form)
    write_structures(crystals, path, form)
    manifest = {
        "structures": path.name,
        "n": len(crystals),
        "seed": settings["seed"],
        "format": form,
        "source": source.name,
        "source_sha256": file_hash(source),
        "cryingan": __version__,
        "settings": dict(model.hparams),
    }
    with replace_file(folder / SAMPLE_MANIFEST) as file:
        file.write(json.dumps(manifest, indent=2).encode())
    print(f"{len(crystals)} structures in {path}")
    if plan is not None:
        relax_samples(plan, folder)
    if scoring:
        score(scoring, path if plan is None else folder / RELAXED)
    return path


def relax_file(settings: dict[str, Any]) -> Path:
    """Relax the structures of a file, whatever made them; the folder with the results comes back."""
    from cryingan.samples.folder import store_samples
    from cryingan.structures.lenient import salvage_structures

    if settings["relax"] is None:
        raise CryinGANError("structures=FILE has them relaxed: add relax=true")
    plan, scoring = relaxation(settings), evaluation(settings)
    store_samples(salvage_structures(settings["structures"]), settings["output"])
    folder = relax_samples(plan, Path(settings["output"]))
    if scoring:
        score(scoring, folder / RELAXED)
    return folder


def evaluation(settings: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `cryingan.evaluation.evaluate.evaluate` besides the structures, checked before anything is computed.

    The reference is the file of the training structures. Empty where nothing is to be scored.
    """
    from cryingan.evaluation.benchmarks.registry import load_benchmark
    from cryingan.structures.lenient import read_candidates
    from cryingan.training.checkpoints import run_settings

    if settings["evaluate"] is None:
        return {}
    run = run_settings(settings["checkpoint"]) if settings["checkpoint"] else {}
    reference = settings["training"] or run.get("data", {}).get("path")
    if reference is None:
        raise CryinGANError(
            f"evaluate={settings['evaluate']['kind']} needs training=FILE, which samples are compared with"
        )
    if not Path(reference).exists():
        raise CryinGANError(f"training={reference} is not there; give the structures that samples are compared with")
    benchmark = load_benchmark(**settings["evaluate"])
    if Path(reference).is_file():
        benchmark.require_species(next(read_candidates(reference)).composition, str(reference))
    return {"reference": reference, "benchmark": benchmark}


def score(scoring: dict[str, Any], structures: Path) -> Path:
    """Score samples, or what relaxation made of them, in a folder beside them, and say what came of it."""
    from cryingan.evaluation.evaluate import evaluate
    from cryingan.evaluation.report import METRICS, summary_lines

    folder = structures.parent / f"evaluation_{scoring['benchmark'].kind}"
    # What lies there may be of the same samples when fewer of them had been relaxed.
    print("\n".join(summary_lines(evaluate(structures, output=folder, overwrite=True, **scoring))))
    print(folder / METRICS)
    return folder


def relaxation(settings: dict[str, Any]) -> Plan:
    """How to relax; what the command line does not say, the config of the checkpoint's run does."""
    from cryingan.energies.data_card import default_potential
    from cryingan.samples.plan import Plan
    from cryingan.training.checkpoints import run_settings
    from data.module import StructureData

    run = run_settings(settings["checkpoint"]) if settings["checkpoint"] else {}
    data = {name: value for name, value in run.get("data", {"validation": 0}).items() if name != "width"}
    if settings["training"] is not None:
        data["path"] = settings["training"]
    potential = settings["potential"] or run.get("potential")
    if potential is None and "path" in data:
        potential = default_potential(data["path"], data.get("card"))
    if potential is None:
        raise CryinGANError("relax=true needs a potential, such as potential=m3gnet potential.path=FOLDER")
    training = StructureData(**data).training_source if "path" in data else None
    relax, judging = as_in_the_run(settings, run)
    kept = {name: settings[name] for name in ("cache", "pictures")}
    return Plan(potential, relax, training, **judging, **kept, molecules=settings["pictures"])


def as_in_the_run(settings: dict[str, Any], run: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What decides how relaxations end and how they are judged; where both come from is printed.

    Args:
        settings: of this command.
        run: of the run that the checkpoint is from; empty without one.

    Returns:
        The fields of `cryingan.relaxation.settings.RelaxSettings`, and `thresholds` and `repair_distance`.
    """
    said = given()
    relax = {name: value for name, value in run.get("relax", {}).items() if name in SETTINGS}
    judging = {name: run.get("callbacks", {}).get("relax", {}).get(name, settings[name]) for name in JUDGING}
    own = {key.split(".")[1] for key in said if key.startswith("relax.")}
    if said.get("relax", "run") != "run":
        own.add("optimizer")
    relax = settings["relax"] | {name: value for name, value in relax.items() if name not in own}
    judging |= {name: settings[name] for name in JUDGING if name in said}
    if run:
        values = {**{name: relax[name] for name in SETTINGS if name != "fire"}, **judging}
        text = ", ".join(f"{name}={value}" for name, value in values.items())
        print(f"relaxing as the run did, unless the command line says otherwise: {text}", flush=True)
    return relax, judging


def relax_samples(plan: Plan, folder: Path) -> Path:
    """Relax the samples in a folder and say what came of it; the folder comes back."""
    from cryingan.samples.folder import read_summary
    from cryingan.samples.relaxer import SampleRelaxer
    from cryingan.samples.report import in_words

    SampleRelaxer(plan)(folder)
    print(f"{in_words(read_summary(folder))}: {folder / RELAXED}, {folder / FIGURE}")
    return folder


def load(settings: dict[str, Any]) -> tuple[CryinGAN, Path]:
    """The model and the file that it comes from: a checkpoint of ours, or upstream's generator and a reference."""
    from cryingan.models.cryingan.upstream import upstream_model
    from cryingan.structures.files import read_structures
    from cryingan.training.checkpoints import load_model

    checkpoint, upstream, reference = (settings[key] for key in ("checkpoint", "upstream", "reference"))
    if (checkpoint is None) == (upstream is None):
        raise CryinGANError("give either checkpoint=PATH or upstream=PATH reference=FILE")
    if checkpoint is not None:
        return load_model(checkpoint), Path(checkpoint)
    if reference is None:
        raise CryinGANError("upstream=PATH needs reference=FILE, whose first frame gives cell and species")
    return upstream_model(upstream, read_structures(reference)), Path(upstream)


if __name__ == "__main__":
    run("sample", sample_schema, sample)
