"""Which keys metrics.csv will have, so that a misspelt one is refused before the first epoch."""

from __future__ import annotations

from lightning import LightningModule, Trainer

from callbacks.epochs import find
from callbacks.relax_samples import RelaxSamples
from callbacks.sample_quality import SampleQuality
from cryingan.errors import CryinGANError
from cryingan.metrics.coverage import NEIGHBORS
from cryingan.metrics.region_reference import KEYS, RegionReference

OURS = ("callbacks.", "cryingan.")  # packages of the callbacks whose keys are known
INTERVAL = ("_low", "_high")


def require_logged(trainer: Trainer, model: LightningModule, setting: str, key: str) -> bool:
    """Refuse a key that no epoch will have.

    What callbacks and models of a user's own log is not known: with them only keys that others would log are refused.

    Args:
        trainer: with its callbacks set up.
        model: that is to be trained.
        setting: what asks for the key, for the message.
        key: of metrics.csv.

    Returns:
        Whether it is sure to be logged.

    Raises:
        CryinGANError: says which keys would be right, or what is missing.
    """
    of_model = getattr(model, "logged_keys", None)
    known = _of_callbacks(trainer) | (of_model or set())
    if not len(trainer.datamodule.split()[1]):
        known = {name for name in known if not name.startswith("val/")}
    group = key.partition("/")[0]
    others = any(not type(callback).__module__.startswith(OURS) for callback in trainer.callbacks)
    unknown = group != "relax" and (others or (of_model is None and group not in ("samples", "alloy")))
    if key in known or (unknown and group != "time"):
        return key in known
    missing = _missing(trainer, key)
    if missing is None:
        near = {name for name in known if name.startswith(f"{group}/")} or known
        missing = f"is not logged; use {', '.join(sorted(name for name in near if not name.endswith(INTERVAL)))}"
    raise CryinGANError(f"{setting}={key} {missing}")


def has_region(trainer: Trainer) -> bool:
    """Whether raw samples can be compared with training structures by place: these share most of their sites."""
    quality = find(trainer, SampleQuality)
    return (quality.region if quality else RegionReference.of(trainer.datamodule.training)) is not None


def translated(trainer: Trainer) -> bool:
    """Whether structures are translated at random, so that samples stand anywhere."""
    return bool(getattr(trainer.datamodule, "translated", ()))


def _of_callbacks(trainer: Trainer) -> set[str]:
    quality, relax = find(trainer, SampleQuality), find(trainer, RelaxSamples)
    known = quality.keys if quality else set()
    if relax is None:
        return known
    by_region = relax.n_samples > NEIGHBORS and not translated(trainer) and has_region(trainer)
    lacking = set() if by_region else {f"relax/{name}" for name in KEYS}
    if translated(trainer):
        lacking |= {key for key in relax.keys(trainer) if key.startswith(("relax/distinct", "relax/unseen"))}
    return known | (relax.keys(trainer) - lacking)


def _missing(trainer: Trainer, key: str) -> str | None:
    """What a key needs that this run does not have; None where there is no such key."""
    group, _, name = key.partition("/")
    quality, relax = find(trainer, SampleQuality), find(trainer, RelaxSamples)
    if group == "time":
        return "is not in metrics.csv, as times differ between equal runs"
    if group == "relax" and relax is None:
        return "needs callbacks=relax"
    if group in ("samples", "alloy") and quality is None:
        return "needs callbacks.quality, which is left out"
    if group == "val" and not len(trainer.datamodule.split()[1]):
        return f"needs held-out structures: data.validation={trainer.datamodule.settings.validation} leaves none"
    if group == "alloy" and quality.alloy is None:
        return "needs Cr-Fe-Ni structures on the benchmark's lattice, without data.translate"
    if group in ("samples", "relax") and name in KEYS:
        if group == "relax" and translated(trainer):
            return "needs relaxed samples that can be compared by place, without data.translate"
        if has_region(trainer):
            number = "quality.n" if group == "samples" else "relax.n_samples"
            return f"needs callbacks.{number} of more than {NEIGHBORS}"
        return "needs training structures that share most of their sites"
    if key in (relax.keys(trainer) if relax else ()):
        return "needs samples that can be compared by place, without data.translate"
    return None
