"""Keys of sample.py that mean nothing for what is asked for: refused, so that nobody takes them for used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cryingan.errors import CryinGANError

OF_MODEL = ("model", "batch_size", "best_of", "device", "sampler")
UNUSED = {
    "rival": (*OF_MODEL, "reference"),
    "structures": (*OF_MODEL, "reference", "temperature", "n", "seed"),
    "upstream": ("model",),
}
"""What a rival, structures of a file, and a generator of the authors' code have no use for."""
COMPARING = ("relax", "evaluate", "rival")
"""What compares samples with training structures, or needs them."""
OF_RELAXATION = ("potential", "thresholds", "repair_distance", "n_training", "cache", "pictures")


def require_used(settings: dict[str, Any], given: Iterable[str]) -> None:
    """Refuse keys of the command line that would change nothing.

    Args:
        settings: the whole config of sample.py.
        given: keys of the command line.

    Raises:
        CryinGANError: names the first of them.
    """
    groups = list(dict.fromkeys(key.partition(".")[0] for key in given))
    for what, unused in UNUSED.items():
        if settings[what] and (wrong := [key for key in groups if key in unused]):
            raise CryinGANError(f"{wrong[0]}: {what}={settings[what]} has no use for it; leave it out")
    if wrong := [key for key in given if key.startswith("model.") and key != "model._target_"]:
        raise CryinGANError(f"{wrong[0]}: a model is sampled with the settings of its checkpoint; leave it out")
    if settings["relax"] is None and (wrong := [key for key in groups if key in OF_RELAXATION]):
        raise CryinGANError(f"{wrong[0]} is for samples that are relaxed: add relax=true, or leave it out")
    if wrong := [key for key in ("temperature", "best_of") if key in (settings["sampler"] or {})]:
        raise CryinGANError(f"sampler.{wrong[0]} is a key of its own; write {wrong[0]}=...")
    if "training" in groups and not any(settings[key] for key in COMPARING):
        raise CryinGANError(
            "training=FILE is what samples are compared with: add relax=true, evaluate=... or rival=..., or leave "
            "it out"
        )
    if "reference" in groups and not settings["upstream"]:
        raise CryinGANError("reference belongs to upstream=PATH; leave it out")
