"""Dumps of LAMMPS: numbers of types are no elements, atoms come in any order, boxes are triclinic, files are cut."""

import ase.io
import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.structures.files import read_structures
from cryingan.structures.lenient import read_candidates
from tests.support.structure_files import check_refusal, refusal, scattered_crystals

ORIGIN = np.array([-3.0, 2.0, 1.0])
CELL = np.array([[6.0, 0.0, 0.0], [1.5, 5.0, 0.0], [-0.8, 0.9, 7.0]])
CRYSTALS = scattered_crystals(CELL, ("Li", "Li", "O", "Cl"), structures=3)
KINDS = {"Li": 1, "O": 2, "Cl": 3}
MASSES = {"Li": 6.94, "O": 15.999, "Cl": 35.45}
VALUES = {
    "id": lambda i, _: i + 1,
    "type": lambda _, s: KINDS[s],
    "element": lambda _, s: s,
    "mass": lambda _, s: MASSES[s],
}


def bounds(tilted=True):
    """Bounds of the box as LAMMPS writes them: those of the bounding box, and the tilts."""
    corners = np.array([np.array(one) @ CELL for one in np.ndindex(2, 2, 2)]) + ORIGIN
    # LAMMPS bounds x by the tilts of one plane after the other
    low = [ORIGIN[0] + min(0, 1.5, -0.8, 0.7), ORIGIN[1] + min(0, 0.9), ORIGIN[2]]
    high = [ORIGIN[0] + 6 + max(0, 1.5, -0.8, 0.7), ORIGIN[1] + 5 + max(0, 0.9), ORIGIN[2] + 7]
    assert low[1:] == pytest.approx(corners.min(axis=0)[1:])
    tilts = (1.5, -0.8, 0.9)
    return [f"{a:.10f} {b:.10f} {t:.10f}" for a, b, t in zip(low, high, tilts, strict=True)]


def snapshot(step, columns="id type element x y z", boundaries=" pp pp pp", order=(2, 0, 3, 1), rows=4):
    """One frame; atoms are shuffled."""
    names = columns.split()
    fractional = CRYSTALS.fractional[step]
    coordinates = {"x": fractional @ CELL + ORIGIN, "xu": fractional @ CELL + ORIGIN + CELL[0], "xs": fractional}
    taken = next(name for name in ("xu", "xs", "x") if name in names)
    lines = ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", "4", f"ITEM: BOX BOUNDS xy xz yz{boundaries}"]
    lines += [*bounds(), f"ITEM: ATOMS {columns}"]
    for atom in order[:rows]:
        labels = [str(VALUES[name](atom, CRYSTALS.species[atom])) for name in names if name in VALUES]
        lines.append(" ".join(labels + [f"{value:.8f}" for value in coordinates[taken][atom]]))
    return "".join(line + "\n" for line in lines)


def dump(**options):
    return "".join(
        snapshot(step, order=[(2, 0, 3, 1), (0, 1, 2, 3), (3, 2, 1, 0)][step], **options) for step in range(3)
    )


def check(path, **options):
    """The positions, wherever the origin of the box."""
    read = read_structures(path, **options)
    assert read.species == CRYSTALS.species
    np.testing.assert_allclose(read.cell, CELL, atol=1e-8)
    apart = read.fractional - CRYSTALS.fractional - ORIGIN @ np.linalg.inv(CELL)
    np.testing.assert_allclose(apart - np.round(apart), 0, atol=1e-7)


@pytest.mark.parametrize("columns", ["x y z", "xu yu zu", "xs ys zs"])
@pytest.mark.parametrize("labels", ["id type element", "id element", "id type mass"])
def test_atoms_have_the_order_of_their_ids_in_every_kind_of_coordinates(tmp_path, columns, labels):
    (tmp_path / "some.lammpstrj").write_text(dump(columns=f"{labels} {columns}"))
    check(tmp_path / "some.lammpstrj")


def test_positions_are_those_of_ase(tmp_path):
    (tmp_path / "some.lammpstrj").write_text(dump())
    ours = [frame.atoms for frame in read_candidates(tmp_path / "some.lammpstrj")]
    for one, other in zip(ours, ase.io.read(tmp_path / "some.lammpstrj", ":"), strict=True):
        assert one.symbols.get_chemical_formula("reduce") == other.symbols.get_chemical_formula("reduce")
        np.testing.assert_allclose(one.positions, other.get_positions(wrap=True), atol=1e-8)


@pytest.mark.parametrize("name", ["dump.300", "dump.lmp", "traj.lammpstrj", "MD.dump"])
def test_dumps_are_known_by_their_content(tmp_path, name):
    for text in (dump(), dump().replace("\n", "\r\n"), "ITEM: UNITS\nmetal\n" + dump(), dump(boundaries="")):
        (tmp_path / name).write_bytes(text.encode())
        check(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (dump(columns="id type x y z"), "frame 1: column type holds numbers, no elements; LAMMPS's `dump_modify"),
        (dump(columns="id x y z"), "frame 1: ITEM: ATOMS has no column element; LAMMPS's `dump_modify"),
        (
            dump().replace(" Li ", " C ").replace(" O ", " C ").replace(" Cl ", " C "),
            "column element is C, LAMMPS's default",
        ),
        (dump().replace(" Cl ", " 17 "), "frame 1: column element holds numbers, such as 17"),
        (dump().replace(" Cl ", " Xx "), "frame 1, atom 3, column element: unknown element 'Xx'"),
        (
            dump(columns="id mass x y z").replace(" 15.999 ", " 40.0 "),
            "frame 1: column mass: 40 is the mass of no element",
        ),
        (dump(boundaries=" pp pp ff"), 'frame 1: pbc is "T T F"'),
        ("ITEM: UNITS\nlj\n" + dump(), "units 'lj' are no lengths"),
        (snapshot(0) + snapshot(1, rows=3), "frame 2 ends early: 4 atoms promised, 3 found"),
        (snapshot(0, rows=2) + snapshot(1), "frame 1 ends early: 4 atoms promised, 2 found"),
        (dump()[: dump().rindex("ITEM: ATOMS")], "frame 3 ends early: ITEM: ATOMS is missing or cut"),
        (snapshot(0) + snapshot(1).replace("1 1 Li", "1 1 Li Li"), "frame 2, atom 2 (line 24): 6 columns promised, 7"),
        (dump().replace("\n1 1 Li -", "\n1 1 Li *******"), "in column x is no number"),
        (dump().replace("\n2 1 Li", "\n1 1 Li"), "frame 1: two atoms have the id 1"),
        (dump().replace("\n4\n", "\nmany\n"), "frame 1: a frame has 1 to 1,000,000 atoms, not 'many'"),
        (dump().replace("\n4\n", "\n400000000000\n"), "frame 1: a frame has 1 to 1,000,000 atoms"),
    ],
)
def test_what_names_no_elements_or_is_not_whole_is_refused(tmp_path, text, message):
    check_refusal(tmp_path / "some.lammpstrj", text, message)


def test_whole_frames_of_a_cut_dump_are_read_for_evaluation(tmp_path):
    (tmp_path / "some.lammpstrj").write_text(snapshot(0) + snapshot(1, rows=3) + dump())
    frames = list(read_candidates(tmp_path / "some.lammpstrj"))
    assert [frame.atoms is None for frame in frames] == [False, True, False, False, False]


def test_types_name_elements_of_dumps_data_files_and_numbers_in_xyz(tmp_path):
    types = ["Li", "O", "Cl"]
    path = tmp_path / "some.lammpstrj"
    for columns in ("id type x y z", "id type element xs ys zs"):
        path.write_text(dump(columns=columns).replace(" Li ", " C ").replace(" O ", " C ").replace(" Cl ", " C "))
        check(path, types=types)
        assert [frame.composition for frame in read_candidates(path, types)] == [{"Cl": 1, "Li": 2, "O": 1}] * 3
    assert "has type 3, but types=[Li,O] names 2" in refusal(path, types=types[:2])
    atoms = CRYSTALS.to_ase()[0]
    ase.io.write(
        tmp_path / "some.data", atoms, format="lammps-data", specorder=types, masses=False, atom_style="atomic"
    )
    assert "types are numbers, no elements; give types=[Li,Cl,O]" in refusal(tmp_path / "some.data")
    assert read_structures(tmp_path / "some.data", types=types).species == CRYSTALS.species
    lattice = " ".join(map(str, CELL.ravel()))
    rows = [f"{KINDS[atom.symbol]} {atom.x:.8f} {atom.y:.8f} {atom.z:.8f}\n" for atom in atoms]
    (tmp_path / "some.xyz").write_text(f'4\nLattice="{lattice}"\n' + "".join(rows))
    assert "; types=[Li,Cl,O] names the elements of types" in refusal(tmp_path / "some.xyz")
    assert read_structures(tmp_path / "some.xyz", types=types).species == CRYSTALS.species
    with pytest.raises(CryinGANError, match="type 1: unknown element '1'"):
        read_structures(path, types=["1", "2"])


def test_types_that_contradict_the_elements_of_a_dump_are_said(tmp_path, caplog):
    path = tmp_path / "some.lammpstrj"
    path.write_text(dump())
    assert read_structures(path, types=("Li", "O", "Cl")).species == CRYSTALS.species
    path.write_text(dump().replace(" Li ", " C ").replace(" O ", " C ").replace(" Cl ", " C "))  # LAMMPS's default
    assert read_structures(path, types=("Li", "O", "Cl")).species == CRYSTALS.species
    assert not caplog.messages
    path.write_text(dump())
    assert set(read_structures(path, types=("Cl", "O", "Li")).species) == {"Li", "O", "Cl"}
    assert caplog.messages == [f"{path}: column element names Li O Cl; types=[Cl,O,Li] holds"]
