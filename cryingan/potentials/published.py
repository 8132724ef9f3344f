"""Published potentials by the hash of their weights, with energies that they must reproduce."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cryingan.potentials.card import ReferenceEnergy, parse_references

MOS = {
    "symbols": ["Mo", "S"],
    "fractional": [[0, 0, 0], [0.5, 0.5, 0.5]],
    "cell": [[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0]],
}
NACL = {
    "symbols": ["Na", "Cl"],
    "fractional": [[0, 0, 0], [0.5, 0.5, 0.5]],
    "cell": [[0, 2.8457, 2.8457], [2.8457, 0, 2.8457], [2.8457, 2.8457, 0]],
}


def _references(mos: float, nacl: float, tolerance: float) -> list[dict[str, Any]]:
    return [{**structure, "energy": energy, "tolerance": tolerance} for structure, energy in ((MOS, mos), (NACL, nacl))]


# M3GNet: the energy of MoS is published; that of NaCl at equilibrium was computed with weights that reproduce it.
# CHGNet: computed with the calculator of the package (chgnet 0.4.2), one structure at a time, in float32.
PUBLISHED = {  # name and references by the SHA-256 of the weights
    "576ab0613a6d647e71f3150e29b0692b56377a5217d447da2618b30dd05fcea1": (
        "M3GNet-MP-2021.2.8-PES",
        _references(-10.82436, -6.73501, 1e-4),
    ),
    "d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1": (
        "CHGNet-0.3.0",
        _references(-11.30793, -7.33594, 1e-3),
    ),
    "ef624f78b6db9d315b4ef256f1bb3207449924191b91720dc17d3f60c5df980e": (
        "CHGNet-0.2.0",
        _references(-12.27551, -7.37610, 1e-3),
    ),
    "8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad": (
        "CHGNet-r2scan",
        _references(-29.96477, -13.73181, 1e-3),
    ),
}


def known_references(weights: str, others: Iterable[Mapping]) -> tuple[ReferenceEnergy, ...]:
    """Return all references of a potential: those of the published one with its weights, and others.

    Args:
        weights: SHA-256 of the weights.
        others: see `cryingan.potentials.card.parse_references`.

    Raises:
        CryinGANError: one of the others is no reference.
    """
    _, published = PUBLISHED.get(weights, ("", ()))
    return parse_references([*published, *others])
