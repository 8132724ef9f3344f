"""Structures drawn as atoms, bonds and their cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cryingan.plots.atoms import BOND, OUTLINE, AtomLook, atom_looks, bond_cutoffs, bonds
from cryingan.plots.style import GREY, new_figure, style

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from cryingan.structures.crystals import Crystals

WIDTH, HEIGHT, NARROWEST = 2.9, 3.2, 0.5  # inch, of one structure
TURN, TILT = 14.0, 7.0  # degrees, to the side and upwards, so that rows of atoms do not hide each other
FADING = 0.7  # towards white, of what is farthest away
PIECES = 24  # of an edge of the cell, which each have their depth
MARGIN = 0.3  # Angstrom, around cell and atoms
PAD = 0.1  # inch, above titles, which would be cut off where the cell is as wide as its panel
CORNERS = np.array(list(np.ndindex(2, 2, 2)))


@dataclass(frozen=True, eq=False)
class _Shape:
    depth: float  # larger is nearer
    patch: Patch
    face: str
    edge: str


@style()
def structure_figure(crystals: Crystals, titles: Sequence[str] = ()) -> Figure:
    """Draw structures side by side, z upwards, seen a little from the side and from above; titles are for the first.

    Colours, radii and bonds are those of `cryingan.plots.atoms`. What is behind is drawn first, and fades.
    """
    across, up = np.ptp(CORNERS @ crystals.cell @ _view(), axis=0)[:2]
    width = min(WIDTH, NARROWEST + HEIGHT * across / up)  # tall cells closer together
    figure = new_figure(len(crystals), 1, height=HEIGHT, width=width * len(crystals))
    figure.get_layout_engine().set(h_pad=PAD)
    looks, cutoffs = atom_looks(crystals.species), bond_cutoffs(crystals.species)
    for axis, atoms in zip(figure.axes, crystals.to_ase(), strict=True):
        _draw(axis, atoms[np.isfinite(atoms.positions).all(axis=1)], looks, cutoffs)
    for axis, title in zip(figure.axes, titles, strict=False):
        axis.set_title(title)
    _add_legend(figure, looks)
    return figure


def _view() -> np.ndarray:
    """The matrix from Cartesian coordinates in rows to those of the picture: to the right, up, towards the viewer."""
    turn, tilt = np.radians([TURN, TILT])
    right = np.array([np.cos(turn), np.sin(turn), 0.0])
    away = np.array([-np.sin(turn) * np.cos(tilt), np.cos(turn) * np.cos(tilt), -np.sin(tilt)])
    return np.column_stack([right, np.cross(right, away), -away])


def _draw(axis: Axes, atoms: Atoms, looks: dict[str, AtomLook], cutoffs: dict[tuple[str, str], float]) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import to_rgba_array

    atoms.pbc = True
    atoms.wrap()
    shapes = [*_cell(atoms.cell.array), *_bonds(atoms, looks, cutoffs), *_spheres(atoms, looks)]
    shapes.sort(key=lambda shape: shape.depth)
    far, near = shapes[0].depth, shapes[-1].depth
    fading = np.array([FADING * (near - shape.depth) / (near - far) for shape in shapes])[:, None]
    colors = {}
    for part in ("face", "edge"):
        rgba = to_rgba_array([getattr(shape, part) for shape in shapes])
        rgba[:, :3] += fading * (1 - rgba[:, :3])
        colors[f"{part}colors"] = rgba
    axis.add_collection(PatchCollection([shape.patch for shape in shapes], linewidths=0.3, **colors))
    reach = np.concatenate([CORNERS @ atoms.cell.array, atoms.positions]) @ _view()
    margin = MARGIN + max(look.radius for look in looks.values())
    (left, bottom), (right, top) = reach.min(axis=0)[:2] - margin, reach.max(axis=0)[:2] + margin
    axis.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    axis.set_axis_off()


def _cell(cell: np.ndarray) -> Iterator[_Shape]:
    """The twelve edges in short pieces, so that atoms in front hide them."""
    from matplotlib.patches import Polygon

    for axis in range(3):
        for start in CORNERS[CORNERS[:, axis] == 0]:
            along = np.linspace(0, 1, PIECES + 1)[:, None] * np.eye(3)[axis]
            places = (start + along) @ cell @ _view()
            for piece in pairwise(places):
                ends = np.array(piece)
                yield _Shape(ends[:, 2].mean(), Polygon(ends[:, :2], closed=False), "none", GREY)


def _bonds(atoms: Atoms, looks: dict[str, AtomLook], cutoffs: dict[tuple[str, str], float]) -> Iterator[_Shape]:
    """Halves of bonds, each from the surface of its atom to the middle and in its colour."""
    from matplotlib.patches import Polygon

    pairs, images = bonds(atoms, cutoffs)
    places, symbols = atoms.positions @ _view(), atoms.get_chemical_symbols()
    vectors = (atoms.positions[pairs[:, 1]] + images @ atoms.cell.array - atoms.positions[pairs[:, 0]]) @ _view()
    for side, sign in ((0, 1), (1, -1)):
        for atom, vector in zip(pairs[:, side].tolist(), sign * vectors, strict=True):
            look, length = looks[symbols[atom]], np.linalg.norm(vector)
            if length <= 2 * look.radius:
                continue
            start, end = places[atom] + look.radius * vector / length, places[atom] + vector / 2
            across = np.array([-vector[1], vector[0]]) / max(np.hypot(*vector[:2]), 1e-9) * BOND
            outline = [start[:2] - across, start[:2] + across, end[:2] + across, end[:2] - across]
            yield _Shape((start[2] + end[2]) / 2, Polygon(outline), look.color, OUTLINE)


def _spheres(atoms: Atoms, looks: dict[str, AtomLook]) -> Iterator[_Shape]:
    """Atoms, each with a highlight."""
    from matplotlib.patches import Circle

    for (x, y, depth), symbol in zip(atoms.positions @ _view(), atoms.symbols, strict=True):
        look = looks[symbol]
        yield _Shape(depth, Circle((x, y), look.radius), look.color, OUTLINE)
        light = Circle((x - 0.3 * look.radius, y + 0.35 * look.radius), 0.3 * look.radius)
        yield _Shape(depth, light, "#ffffff90", "none")


def _add_legend(figure: Figure, looks: dict[str, AtomLook]) -> None:
    from matplotlib.lines import Line2D

    largest = max(look.radius for look in looks.values())
    outline = {"linestyle": "", "marker": "o", "markeredgecolor": OUTLINE, "markeredgewidth": 0.4}
    handles = [
        Line2D([], [], color=look.color, label=symbol, markersize=9 * look.radius / largest, **outline)
        for symbol, look in looks.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5 * len(figure.axes)))
