"""Samples of the rivals that need no training: `python sample.py rival=random data=li2o_licl`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from cryingan.structures.crystals import Crystals
    from data.module import StructureData

RIVALS = ("random", "linear", "diamond")
WITHOUT_TEMPERATURE = {"random": "random structures", "diamond": "displaced crystals"}
BESIDE = 20  # random structures whose scores stand beside others: describing one takes up to seconds


def rival_samples(
    rival: str,
    data: StructureData,
    n: int,
    seed: int,
    sampler: Mapping[str, Any] | None = None,
    temperature: float = 1.0,
) -> tuple[Crystals, dict[str, Any]]:
    """Samples of a rival, and where they come from, as `cryingan.samples.folder.write_samples` takes it.

    Args:
        rival: `random`: random structures of the set; `linear`: the linear model of its training structures, as
            `train.py model=linear` fits it; `diamond`: the displaced crystal of a set of silicon.
        data: the set.
        n: number of samples.
        seed: of the samples.
        sampler: settings of a sampler; rivals have none.
        temperature: as `cryingan.models.base.GenerativeModel.sample` takes it; random structures have none.

    Raises:
        CryinGANError: `sampler` holds a key, structures of the set are to be translated, or the set is no set for the
            rival.
    """
    if data.settings.translate:
        raise CryinGANError(f"data.translate={data.settings.translate}: rival={rival} has no such key; leave it out")
    if sampler:
        raise CryinGANError(f"sampler.{min(sampler)}: rival={rival} has no such key; it has none")
    if rival in WITHOUT_TEMPERATURE and temperature != 1:
        what = WITHOUT_TEMPERATURE[rival]
        raise CryinGANError(f"temperature={temperature}: {what} have no temperature; rival=linear has")
    if rival == "diamond":
        from data.silicon.crystal import DISPLACEMENT, displaced_diamond

        samples, how = displaced_diamond(data.crystals, n, seed), {"displacement": DISPLACEMENT}
    elif rival == "random":
        samples, how = data.random.draw(n, seed), {"structures": data.random.title}
    else:
        from cryingan.models.linear.linear import Linear

        model = Linear(data.crystals.cell.tolist(), list(data.crystals.species), shift=data.shift)
        model.fit(data.training)
        samples, how = model.sample(n, seed, temperature=temperature), {**model.hparams, "temperature": temperature}
    origin = {"seed": seed, "source": data.path, "source_sha256": data.sha256, "settings": {"rival": rival, **how}}
    return samples, origin


def random_beside(reference: str | Path, types: Sequence[str]) -> dict[str, Crystals]:
    """A few random structures of a reference, with what they are, for `beside` of `cryingan.evaluate`.

    Empty where the reference is no file of one cell and composition, such as published statistics.

    Raises:
        CryinGANError: its card cannot be read.
    """
    from cryingan.structures.files import read_structures
    from data.random_structures import random_structures

    try:
        crystals = read_structures(reference, sort_species=True, types=types)
    except CryinGANError:
        return {}
    random = random_structures(crystals, reference)
    return {f"{BESIDE} {random.title} as placed": random.draw(BESIDE, seed=1)}


def what_it_is(rival: str, data: StructureData) -> str:
    """In one line what samples of a rival are, and why random ones are no better where they could be."""
    if rival == "random":
        return f"{data.random.title} of {data.path}" + (f": {data.random.why}" if data.random.why else "")
    return f"the linear model of {data.path}" if rival == "linear" else f"displaced diamond in the cell of {data.path}"
