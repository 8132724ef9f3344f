"""The alloy benchmark: what one structure gives, and the scores of many (D.3 to D.5)."""

from __future__ import annotations

from collections.abc import Mapping as Columns
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from cryingan.errors import CryinGANError
from cryingan.metrics.alloy import (
    CLUSTER_NAMES,
    SPECIES,
    SRO_NAMES,
    formation_energy,
    neighbor_table,
    short_range_order,
)
from cryingan.metrics.alloy_lattice import FccLattice
from cryingan.metrics.alloy_mapping import map_to_lattice
from cryingan.metrics.bootstrap import Interval, as_tensors, distance_of_means, gathered, mean_interval

if TYPE_CHECKING:
    from ase import Atoms

# Pairs per site: half the neighbours; a point is one per site.
MULTIPLICITIES = np.repeat([1.0, *(table.shape[1] / 2 for table in neighbor_table())], [3, 6, 6, 6, 6, 6, 6, 6])
COLUMNS = ("vacancies", "formation_energy", *(f"sro_{name.replace('NN', '')}" for name in SRO_NAMES))
"""Columns of one row per structure."""
SCORES = ("d_cluster", "percent_with_vacancies", "percent_failed")


def describe(
    atoms: Atoms, lattice: FccLattice | None = None, mapping: str = "auto", compatible: bool = False
) -> dict[str, np.ndarray]:
    """What the benchmark wants to know of one structure; stacked over structures it is what `scores` takes.

    Args:
        atoms: a periodic structure.
        lattice: as in `map_to_lattice`, like all other arguments.
        mapping: as there.
        compatible: as there; clusters, energy and short-range order then follow from counts of five decimals.

    Returns:
        `probabilities` (45,), columns as `CLUSTER_NAMES`: counts per atom present over pairs per site, so that the six
        of a shell sum to 1 without vacancies; `formation_energy`, eV/atom; `sro` (12,), columns as `SRO_NAMES`;
        `vacancies` and `dropped` atoms; `mapping`, which was used; `rejected`, why the structure is rejected, and
        `undefined`, why a short-range order is NaN, both empty if not. All numbers of a rejected structure are NaN
        except the vacancies and dropped atoms.
    """
    mapped = map_to_lattice(atoms, lattice, mapping, compatible)
    counts = np.full((1, len(CLUSTER_NAMES)), np.nan) if mapped.reason else mapped.counts[None]
    order = short_range_order(counts)[0]
    return {
        "probabilities": counts[0] / MULTIPLICITIES,
        "formation_energy": formation_energy(counts)[0],
        "sro": order,
        "vacancies": np.array(mapped.vacancies),
        "dropped": np.array(mapped.dropped),
        "mapping": np.array(mapped.mapping),
        "rejected": np.array(mapped.reason),
        "undefined": np.array("" if mapped.reason else _undefined(counts[0], order)),
    }


def _undefined(counts: np.ndarray, order: np.ndarray) -> str:
    """Why short-range order parameters are NaN."""
    missing = [symbol for symbol, count in zip(SPECIES, counts, strict=False) if count == 0]
    if missing:
        return f"no {' and no '.join(missing)} atom"
    lonely = [name for name, value in zip(SRO_NAMES, order, strict=True) if np.isnan(value)]
    return f"an element of {', '.join(lonely)} has no neighbour in that shell" if lonely else ""


def columns(structures: Columns[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One row per structure from stacked `describe`: `COLUMNS`, each of shape (structures,)."""
    order = np.asarray(structures["sro"]).reshape(-1, len(SRO_NAMES))
    return dict(zip(COLUMNS, [structures["vacancies"], structures["formation_energy"], *order.T], strict=True))


def scores(
    generated: Columns[str, np.ndarray],
    reference: Columns[str, np.ndarray],
    original: int | None = None,
    **bootstrap: int,
) -> dict[str, Interval]:
    """Compare structures with a reference (D.3); rejected ones enter only the share that failed.

    Args:
        generated: stacked `describe` of the structures.
        reference: likewise of the reference; only `probabilities` is read.
        original: how many structures were generated, those included that were lost before; default: those given.
        bootstrap: as in `pivotal_interval`.

    Returns:
        `SCORES`: the distance between mean cluster probabilities, and percentages of the accepted structures that have
        vacancies and of the original ones that were not accepted; NaN with a reason where nothing was accepted.

    Raises:
        CryinGANError: more structures were given than were generated.
    """
    accepted = np.asarray(generated["rejected"]) == ""
    original = len(accepted) if original is None else original
    if original < len(accepted):
        raise CryinGANError(f"original={original} must be at least the {len(accepted)} structures that are there")
    failed = np.repeat([0.0, 100.0], [accepted.sum(), original - accepted.sum()])
    vacant = 100.0 * (np.asarray(generated["vacancies"])[accepted] > 0)
    distance = distance_of_means(generated["probabilities"], reference["probabilities"], **bootstrap)
    values = [distance, mean_interval(vacant, **bootstrap), mean_interval(failed, **bootstrap)]
    return dict(zip(SCORES, values, strict=True))


class AlloyClusters(Metric):
    """`scores` of all structures given to `update` (on all ranks), in float64.

    Args:
        reference: stacked `describe` of the reference.
        original: as in `scores`.
    """

    full_state_update = False
    rows: list[Tensor] | Tensor

    def __init__(self, reference: Columns[str, np.ndarray], original: int | None = None) -> None:
        super().__init__()
        self.reference, self.original = dict(reference), original
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, structures: Columns[str, np.ndarray]) -> None:
        """Add structures by their stacked `describe`."""
        rows = np.column_stack([structures["probabilities"], structures["vacancies"], structures["rejected"] == ""])
        self.rows.append(torch.as_tensor(rows, dtype=torch.float64, device=self.device))

    def compute(self) -> dict[str, Tensor]:
        """Each of `SCORES` as <score>, <score>_low and <score>_high, float64 scalars."""
        rows = gathered(self.rows).reshape(-1, len(CLUSTER_NAMES) + 2)
        structures = {
            "probabilities": rows[:, :-2],
            "vacancies": rows[:, -2],
            "rejected": np.where(rows[:, -1] > 0, "", "rejected"),
        }
        named = {}
        for name, interval in scores(structures, self.reference, self.original).items():
            ends = as_tensors(interval)
            named |= {name: ends["value"], f"{name}_low": ends["low"], f"{name}_high": ends["high"]}
        return named
