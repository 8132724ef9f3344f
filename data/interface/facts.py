"""How an interface data set was made, as plain values for its card and its README.md."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.relaxation.one_structure import FAILED
from data.interface.bulk import reduced_formula
from data.interface.placement import slab_facts

if TYPE_CHECKING:
    from ase import Atoms

    from data.interface.dataset import RelaxedSet
    from data.interface.systems import Slab


def facts(relaxed: RelaxedSet, seed: int) -> dict[str, Any]:
    """How a set was made, in plain values: `made` of its card."""
    interface = relaxed.interface
    system, match, cell = interface.system, interface.match, interface.slabs.cell
    reasons = Counter(one.reason for one in relaxed.results)
    return {
        "substrate": _slab_facts(system.substrate, interface.crystals[0], match.substrate_matrix),
        "film": _slab_facts(system.film, interface.crystals[1], match.film_matrix),
        "mismatch": {"lengths": _floats(match.length_mismatches), "angle": _floats(match.angle_mismatch)},
        "determinants": list(match.determinants),
        "area": round(match.area, 4),
        "vacuum": system.vacuum,
        "cell": _floats(cell.cellpar()),
        "composition": dict(Counter(relaxed.interface.species)),
        "region": {
            "atoms": dict(Counter(interface.random)),
            "thickness": system.region.thickness,
            "minimum_distances": dict(system.region.minimum_distances),
        },
        "slabs": slab_facts(relaxed.interface),
        "seed": seed,
        "relaxation": dict(relaxed.how),
        **({} if relaxed.fixed is None else {"fixed_atoms": int(relaxed.fixed.all(axis=1).sum())}),
        "tried": len(relaxed.results),
        "ended": dict(reasons),
        **({"relaxed_first": _quicker(relaxed)} if relaxed.first else {}),
        **({} if relaxed.screen is None else {"screen": relaxed.screen, "highest_kept_first": _highest_first(relaxed)}),
        **_contacts(relaxed),
        "kept_share": system.kept,
        "kept": int(relaxed.kept.sum()),
    }


def _contacts(relaxed: RelaxedSet) -> dict[str, Any]:
    """Converged structures whose anions are too close, and how many of them the cut-off alone would have kept."""
    found = np.array(list(map(bool, relaxed.contacts)))
    if all(one is None for one in relaxed.contacts):
        return {}
    low = found & (relaxed.energies <= relaxed.cutoff)
    return {"contacts": {"converged": int((found & np.isfinite(relaxed.energies)).sum()), "refused": int(low.sum())}}


def _quicker(relaxed: RelaxedSet) -> list[dict[str, Any]]:
    return [
        {"potential": name, "hash": sha, "structures": sum(one.reason not in FAILED for one in results)}
        for (name, sha), results in relaxed.first.items()
    ]


def _highest_first(relaxed: RelaxedSet) -> float:
    """Highest energy of the kept structures by the potentials that screened them, eV/atom."""
    kept = {one.sample for one, chosen in zip(relaxed.results, relaxed.kept, strict=True) if chosen}
    quick = [one for results in relaxed.first.values() for one in results if one.sample in kept and one.converged]
    return round(max((one.energy_final for one in quick), default=np.nan) / relaxed.n_atoms, 8)


def _slab_facts(slab: Slab, crystal: Atoms, matrix: np.ndarray) -> dict[str, Any]:
    return {
        "crystal": reduced_formula(crystal),
        "lattice": _floats(crystal.cell.cellpar()),
        "source": slab.crystal.source or slab.crystal.file,
        "miller": list(slab.miller),
        "layers": slab.layers,
        "matrix": matrix.tolist(),
    }


def _floats(values: Any) -> Any:
    return np.round(np.asarray(values, dtype=float), 4).tolist()
