"""What a dashboard of runs in Weights & Biases shows: sections, panels and columns, by the keys that runs log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryingan.energies.fractions import QUANTILES
from cryingan.storage.fraction_keys import fraction_key, mode_of, random_key, threshold_in

SETTINGS = ("lambda", "pooling", "seed", "model._target_")


@dataclass(frozen=True)
class Section:
    """Panels on one subject.

    Attributes:
        name: heading.
        text: what the panels show, and what is good.
        curves: title of each line plot, by the key whose mean and range over seeds it shows against the epoch.
        against_lambda: title of each scatter plot, by the key whose best value it shows.
        media: title of each panel of pictures, by its key.
    """

    name: str
    text: str
    curves: dict[str, str]
    against_lambda: dict[str, str]
    media: dict[str, str]


def sections(thresholds: Sequence[float]) -> list[Section]:
    """All sections, in the order in which users look at them.

    Args:
        thresholds: of relaxed energies, as in callbacks.relax.thresholds.
    """
    return [_energies(thresholds), _likeness("relax", "Relaxed"), _likeness("samples", "Raw"), _pairs(), _training()]


def columns(thresholds: Sequence[float]) -> list[str]:
    """The keys whose best values are columns of the table of runs."""
    return [
        *map(fraction_key, thresholds),
        *(f"{group}/{name}" for group in ("relax", "samples") for name in ("f1", "precision", "recall", "coverage")),
        "relax/energy_median",
        "relax/failed",
        "relax/close_pairs",
        "samples/close_pairs",
    ]


def best(key: str) -> str:
    """The name under which the summary of a run has the best value of a key, such as `relax/f1.max`."""
    return f"{key}.{mode_of(key)}"


def _energies(thresholds: Sequence[float]) -> Section:
    below = {key: f"relaxed to {threshold_in(key)} or below" for key in map(fraction_key, thresholds)}
    random = {random_key(percent): f"below {percent} % of random structures" for percent in QUANTILES}
    energies = {"relax/energy": "mean energy", "relax/energy_median": "median energy"}
    others = {
        "relax/kolmogorov_smirnov": "distance of the energies from those of the set",
        "relax/distinct_minima": "distinct minima per sample",
        "relax/failed": "share whose relaxation failed",
    }
    media = {"relax/energies": "energies beside the training set", "relax/structures": "relaxed samples"}
    text = (
        "Shares of all relaxed samples; energies in J/m2 of an interface, eV/atom of bulk. High shares and low "
        "energies are good where distinct minima are many: a generator that repeats one good structure has them, too."
    )
    return Section("Energies of relaxed samples", text, {**below, **random, **energies, **others}, below, media)


def _likeness(group: str, name: str) -> Section:
    measures = ("precision", "recall", "coverage", "f1", "distance", "nearest_training")
    titles = {
        "f1": "F1 score",
        "distance": "distance between samples",
        "nearest_training": "nearest training structure",
    }
    text = (
        "Precision: samples like training structures; recall: training structures like samples; coverage: training "
        "structures with a sample near. Logged where the structures of the set share most of their sites. A small "
        "distance from the nearest training structure (Angstrom) means copies."
    )
    media = {"samples/structures": "samples"} if group == "samples" else {}
    curves = {f"{group}/{measure}": titles.get(measure, measure) for measure in measures}
    return Section(f"{name} samples beside the training set", text, curves, {f"{group}/f1": "F1 score"}, media)


def _pairs() -> Section:
    curves = {
        "samples/close_pairs": "raw: pairs within 1.5 Angstrom per structure",
        "relax/close_pairs": "relaxed: pairs within 1.5 Angstrom per structure",
        "samples/neighbor_distance_error": "error of neighbour distances (Angstrom)",
    }
    text = "Atoms that are too near each other; low is good. Lambda and pooling act on these first."
    return Section("Close pairs", text, curves, {"samples/close_pairs": "raw: close pairs"}, {})


def _training() -> Section:
    curves = {
        "train/score_difference": "score difference, training structures",
        "val/score_difference": "score difference, held-out structures",
        "train/generator_loss": "generator loss",
        "train/critic_loss": "discriminator loss",
        "train/gradient_norm_generator": "gradient of the generator",
        "train/loss": "loss of models without discriminators",
        "val/loss": "loss of models without discriminators, held-out structures",
    }
    text = (
        "The score difference is how much higher the discriminators rate structures of the set than samples; it does "
        "not tell how good samples are. Where it is much smaller for held-out structures than for training structures, "
        "the discriminators have learnt the set by heart. Models without discriminators have one loss."
    )
    return Section("Losses", text, curves, {}, {})
