"""Write samples of a trained generator: `python sample.py checkpoint=PATH n=1000`, with `relax=true` relaxed ones, too.

`python sample.py rival=random data=NAME` writes those of a rival, which generators have to beat.
`python sample.py structures=FILE relax=true` relaxes structures of any origin. `evaluate=interface` scores the result.
`model=NAME` or `model._target_=MODULE.CLASS` says of which class the checkpoint of a model of your own is.
`--help` lists every key.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.entry import run
from configs.job import given
from configs.models import own_class
from configs.schema import plain
from configs.unused_keys import require_used
from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omegaconf import DictConfig

    from cryingan.models.base import GenerativeModel
    from cryingan.models.finished_batches import FinishedBatches
    from cryingan.samples.plan import Plan
    from cryingan.samples.relaxer import SampleRelaxer
    from cryingan.structures.crystals import Crystals


def sample(config: DictConfig) -> Path:
    """Write samples, or take structures from a file; relax and score them on request.

    Returns:
        The samples, exactly `n`, beside a manifest that says where they come from; with `structures` the output folder.

    Raises:
        CryinGANError: a setting or a file cannot be used.
    """
    from cryingan.samples.folder import RELAXED, UNFINISHED, store_samples
    from cryingan.samples.plan import plan_as_in_run
    from cryingan.structures.lenient import salvage_structures
    from cryingan.training.checkpoints import best_checkpoint

    own = own_class(config)
    settings = plain(config)
    require_used(settings, given())
    relaxing, file, output = settings["relax"] is not None, settings["structures"], Path(settings["output"])
    checkpoint = settings["checkpoint"] and best_checkpoint(settings["checkpoint"])
    for key in ("n", "batch_size"):
        if settings[key] is not None and settings[key] < 1:
            raise CryinGANError(f"{key}={settings[key]}: it must be at least 1")
    if file and not relaxing:
        raise CryinGANError("structures=FILE has them relaxed: add relax=true")
    if relaxing and checkpoint and not checkpoint.is_file():
        raise CryinGANError(f"checkpoint={checkpoint} is not there")
    rival = rival_settings(settings)
    of_run = settings_of_origin(settings, checkpoint, rival)
    plan = plan_as_in_run(settings, of_run, keys_given()) if relaxing else None
    if plan:
        announce(plan, {} if rival else of_run)
    data = of_run.get("data", {})
    types = settings["types"] or data.get("types", [])
    scoring = scoring_against(settings["training"] or data.get("path"), settings["evaluate"], types)
    relaxer = load_relaxer(plan) if plan else None
    if file:
        store_samples(salvage_structures(file, settings["types"]), output)
    else:
        path = draw_rival(settings, rival) if rival else generate(settings, checkpoint, own)
    if relaxer:
        relax(relaxer, output, settings["format"])
        if checkpoint:
            (output / UNFINISHED).unlink(missing_ok=True)
    if scoring:
        score(output / RELAXED if plan else path, scoring)
    return output if file else path


def rival_settings(settings: dict[str, Any]) -> dict[str, Any] | None:
    """The settings of the data set whose rival is wanted; None where none is.

    Raises:
        CryinGANError: there is no data set, or what is wanted is something else, too.
    """
    rival, data = settings["rival"], settings["data"]
    if rival is None:
        if data:
            raise CryinGANError("data=... belongs to rival=random | linear | diamond; elsewhere it is training=FILE")
        return None
    if others := [key for key in ("checkpoint", "upstream", "structures") if settings[key]]:
        raise CryinGANError(f"rival={rival} has no {others[0]}: give one of them")
    if not data and not settings["training"]:
        raise CryinGANError(f"rival={rival} needs data=NAME, such as data=li2o_licl, or training=FILE")
    module = {"_target_": "data.module.StructureData", "path": settings["training"], "types": settings["types"]}
    return data or module


def settings_of_origin(
    settings: dict[str, Any], checkpoint: Path | None, rival: dict[str, Any] | None
) -> dict[str, Any]:
    """The config of the run that samples are of, as far as relaxing and scores need it; of a rival its data alone."""
    from cryingan.training.checkpoints import run_settings

    if rival:
        return {"data": rival}
    return run_settings(checkpoint) if checkpoint and (settings["relax"] is not None or settings["evaluate"]) else {}


def draw_rival(settings: dict[str, Any], node: dict[str, Any]) -> Path:
    """Write samples of a rival and a manifest of their origin; return the path of the structures."""
    from configs.entry import instantiate
    from data.rivals import rival_samples, what_it_is

    data = instantiate(node)
    names = ("rival", "n", "seed", "sampler", "temperature")
    samples, origin = rival_samples(data=data, **{name: settings[name] for name in names})
    return write(samples, settings, origin, f": {what_it_is(settings['rival'], data)}")


def write(samples: Crystals, settings: dict[str, Any], origin: dict[str, Any], of: str) -> Path:
    """Write samples and a manifest of their origin; say where they are, `of` what, and which others they replace."""
    from cryingan.samples.folder import read_manifest, write_samples

    folder = settings["output"]
    earlier = read_manifest(folder)
    path = write_samples(samples, folder, settings["format"], origin, settings["relax"] is not None)
    print(f"{len(samples)} structures in {path}{of}")
    if earlier is not None and earlier != read_manifest(folder):
        was = f"{earlier['n']} structures of seed {earlier['seed']} from {earlier['source']}"
        print(f"they replace {was}; output=FOLDER would have kept both")
    return path


def announce(plan: Plan, of_run: dict[str, Any]) -> None:
    """Print how samples of a run are relaxed, and what the energies of a potential for trials are worth."""
    if plan.trial:
        print(plan.trial, flush=True)
    if of_run:
        did = "relax" in of_run.get("callbacks", {})
        how = "as the run did, unless the command line says otherwise" if did else "(the run itself relaxed no samples)"
        print(f"relaxing {how}: {plan.summary_line()}", flush=True)


def keys_given() -> set[str]:
    """The keys that the command line sets, the optimizer of `relax=cg` among them."""
    said = given()
    return {*said, "relax.optimizer"} if said.get("relax", "run") != "run" else set(said)


def generate(settings: dict[str, Any], checkpoint: Path | None, own: type | None) -> Path:
    """Write samples of the model and a manifest of their origin; return the path of the structures."""
    from cryingan.devices import resolve_device
    from cryingan.samples.folder import require_same_samples

    model, source = load(checkpoint, own, settings["upstream"], settings["reference"], settings["types"])
    model.to(resolve_device(settings["device"]))
    sampler = {**{key: settings[key] for key in ("temperature", "best_of")}, **settings["sampler"]}
    origin = {"seed": settings["seed"], "source": source, "settings": {**model.hparams, **sampler}}
    require_same_samples(settings["output"], settings["n"], origin)
    slow = bool(model.sampler_keys)  # a model that samples in steps takes its time
    with unfinished(model, source, settings, sampler) if slow else nullcontext() as finished:
        there = {"batch_size": settings["batch_size"], "progress": slow, "finished": finished}
        samples = model.sample(settings["n"], settings["seed"], **there, **sampler)
        path = write(samples, settings, origin | {"rejected": model.rejected}, f", from {source}")
    if model.rejected and (candidates := model.rejected["candidates"]):
        kept = model.rejected["kept"]
        print(f"{candidates} candidates had atoms of another element; {candidates - kept} were refused and {kept} kept")
    return path


@contextmanager
def unfinished(
    model: GenerativeModel, source: Path, settings: dict[str, Any], sampler: dict[str, Any]
) -> Iterator[FinishedBatches]:
    """What an earlier, killed command has drawn of the same samples, and where this one keeps what it draws."""
    from cryingan import __version__
    from cryingan.models.finished_batches import finished_batches
    from cryingan.samples.folder import UNFINISHED
    from cryingan.storage.hashes import file_hash

    key = {
        "checkpoint": file_hash(source),
        "seed": settings["seed"],
        "batch_size": settings["batch_size"] or model.batch_size,
        "device": model.device.type,
        "cryingan": __version__,
        **{name: model.hparams[name] for name in model.sampler_keys},
        **sampler,
    }
    relaxed = settings["relax"] is not None
    with finished_batches(Path(settings["output"]) / UNFINISHED, key, stay=relaxed) as finished:
        if finished.known:
            print(f"resuming: {sum(map(len, finished.known))} samples are there already", flush=True)
        yield finished


def load(
    checkpoint: Path | None, own: type | None, upstream: str | None, reference: str | None, types: list[str]
) -> tuple[GenerativeModel, Path]:
    """The model and the file that it comes from: a checkpoint of ours, or upstream's generator and a reference."""
    from cryingan.models.cryingan.upstream import upstream_model
    from cryingan.structures.files import read_structures
    from cryingan.training.checkpoints import load_model

    if (checkpoint is None) == (upstream is None):
        raise CryinGANError(
            "give one of checkpoint=PATH, rival=random data=NAME, structures=FILE relax=true and upstream=PATH "
            "reference=FILE; python sample.py --help explains every key"
        )
    if checkpoint is not None:
        return load_model(checkpoint, own), checkpoint
    if reference is None:
        raise CryinGANError("upstream=PATH needs reference=FILE, whose first frame gives cell and species")
    return upstream_model(upstream, read_structures(reference, types=types)), Path(upstream)


def load_relaxer(plan: Plan) -> SampleRelaxer:
    """What relaxes the samples; loaded before they are drawn, so that a potential that cannot be used leaves none."""
    from cryingan.samples.relaxer import SampleRelaxer

    return SampleRelaxer(plan)


def relax(relaxer: SampleRelaxer, folder: Path, form: str) -> None:
    """Relax the samples in a folder, and print what came of them and where it is."""
    from cryingan.samples.folder import FIGURE, RELAXED, read_summary, write_relaxed
    from cryingan.samples.report import comparison_line, summary_line

    relaxer(folder)
    other = None if form == "extxyz" else write_relaxed(folder, form)
    files = [folder / RELAXED, *([other] if other else []), folder / FIGURE]
    summary = read_summary(folder)
    print(f"{summary_line(summary)}: {', '.join(map(str, files))}")
    if (compared := comparison_line(summary)) is not None:
        print(compared)


def scoring_against(reference: str | None, settings: dict[str, Any] | None, types: list[str]) -> dict[str, Any]:
    """Arguments of `evaluate` besides the structures, checked before anything is computed; none without settings."""
    from cryingan.evaluation.benchmarks.registry import load_benchmark
    from cryingan.structures.lenient import read_candidates
    from data.rivals import random_beside

    if settings is None:
        return {}
    if reference is None:
        raise CryinGANError(f"evaluate={settings['kind']} needs training=FILE, which samples are compared with")
    benchmark = load_benchmark(**settings)
    if not Path(reference).is_dir():
        benchmark = benchmark.for_species(next(read_candidates(reference, types)).composition, reference)
    beside = random_beside(reference, types)
    return {"reference": reference, "benchmark": benchmark, "types": types, "beside": beside}


def score(structures: Path, scoring: dict[str, Any]) -> None:
    """Score structures in a folder beside them, and print the scores."""
    from cryingan.evaluation.evaluate import evaluate
    from cryingan.evaluation.report import METRICS, summary_lines

    folder = structures.parent / f"evaluation_{scoring['benchmark'].kind}"
    # What lies there may be of the same samples when fewer of them had been relaxed.
    print("\n".join(summary_lines(evaluate(structures, output=folder, overwrite=True, **scoring))))
    print(folder / METRICS)


if __name__ == "__main__":
    run("sample", sample)
