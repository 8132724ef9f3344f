"""Crystals and systems that several tests of interfaces use."""

from data.interface.bulk import make_crystal
from data.interface.systems import SYSTEMS, Crystal, Matching, Region, Slab, System, read_system


def cubic(spacegroup, constant, sites):
    return Crystal(spacegroup=spacegroup, lattice=[constant] * 3 + [90] * 3, sites=sites)


# Lattice constants from the literature: at room temperature, of lithium from density functional theory (PBE: Haas, Tran
# and Blaha, Phys. Rev. B 79, 085104 (2009)), which the paper uses for all and which matters for this soft metal.
LI2O = cubic("Fm-3m", 4.619, {"Li": [[0.25] * 3], "O": [[0] * 3]})
LICL = cubic("Fm-3m", 5.140, {"Li": [[0] * 3], "Cl": [[0.5] * 3]})
MGS = cubic("Fm-3m", 5.200, {"Mg": [[0] * 3], "S": [[0.5] * 3]})
LI = cubic("Im-3m", 3.435, {"Li": [[0] * 3]})
LCO, LSC = (getattr(read_system(SYSTEMS / "lsc_lco.yaml"), side).crystal for side in ("substrate", "film"))


_made = {}


def made_crystal(crystal):
    """A copy of the conventional cell of a crystal that no file holds: finding its sites takes most of a second."""
    key = repr(crystal)
    if key not in _made:
        _made[key] = make_crystal(crystal, ".")
    return _made[key].copy()


def slab(crystal, miller, layers, **options):
    return Slab(crystal, list(miller), layers, **options)


def small_system(**changes):
    """LiCl on Li2O, 5 and 4 surface cells."""
    distances = {"Li-Li": 1.9, "Li-O": 1.6, "Li-Cl": 1.9, "Cl-Cl": 2.5, "O-Cl": 2.3}
    parts = {
        "substrate": slab(LI2O, (1, 0, 0), 3, facing="O", neutralise=True),
        "film": slab(LICL, (1, 0, 0), 1),
        "matching": Matching(max_area=60, determinants=[5, 4]),
        "region": Region(4, 7.5, distances),
    }
    return System("small", **{**parts, **changes})
