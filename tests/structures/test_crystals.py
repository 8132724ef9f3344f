"""Crystals: order, wrapping, selection, and frames of ASE."""

import numpy as np
import pytest

from cryingan.structures.crystals import Crystals

EXACT = 1e-12  # fractional coordinates through Cartesian ones and back
SPECIES = ("O", "Li", "O", "Zr", "Li")
TRICLINIC = np.array([[7.0, 0.0, 0.0], [1.5, 6.0, 0.0], [-0.7, 2.0, 8.0]])
LEFT_HANDED = TRICLINIC[[1, 0, 2]]


def some(cell=TRICLINIC, structures=4):
    return Crystals(np.random.default_rng(1).random((structures, 5, 3)), cell, SPECIES)


def test_what_they_are_is_printed_on_one_line():
    assert repr(some()) == "Crystals(4 structures, 5 atoms: O2 Li2 Zr1, cell 7.00 x 6.18 x 8.28 A)"
    one = Crystals(np.zeros((1, 1, 3)), TRICLINIC, ("Cu",), np.ones((1, 1, 3), dtype=bool))
    assert str(one[0]) == "Crystals(1 structure, 1 atom: Cu1, some fixed, cell 7.00 x 6.18 x 8.28 A)"
    assert repr(one[:0]).startswith("Crystals(0 structures, ")


def test_counts_and_grouping_follow_first_appearance_and_keep_the_order_inside_a_species():
    crystals = some()
    assert list(crystals.counts.items()) == [("O", 2), ("Li", 2), ("Zr", 1)]
    assert crystals.grouping.tolist() == [0, 2, 1, 4, 3]
    grouped = crystals.reordered(crystals.grouping)
    assert grouped.species == ("O", "O", "Li", "Li", "Zr")
    np.testing.assert_array_equal(grouped.fractional[:, 1], crystals.fractional[:, 2])
    many = Crystals(np.zeros((1, 60, 3)), TRICLINIC, ("O", "Li", "Zr") * 20)
    assert many.grouping.tolist() == sorted(range(60), key=lambda atom: atom % 3)
    restored = grouped.reordered(np.argsort(crystals.grouping))
    assert restored.species == SPECIES
    np.testing.assert_array_equal(restored.fractional, crystals.fractional)


@pytest.mark.parametrize("value", [-1e-17, 1.0, -1.0, 2.75, -0.25, 1 - 1e-17])
def test_coordinates_are_wrapped_below_one(value):
    wrapped = Crystals(np.full((1, 1, 3), value), TRICLINIC, ("O",)).fractional
    assert (wrapped >= 0).all()
    assert (wrapped < 1).all()
    np.testing.assert_allclose((wrapped - value + 0.5) % 1.0, 0.5, atol=1e-15)


@pytest.mark.parametrize("cell", [TRICLINIC, LEFT_HANDED], ids=["triclinic", "left-handed"])
def test_ase_sees_the_same_structures(cell):
    crystals = some(cell)
    frames = crystals.to_ase()
    assert len(frames) == len(crystals) == 4
    for frame, fractional in zip(frames, crystals.fractional, strict=True):
        assert frame.pbc.all()
        assert tuple(frame.get_chemical_symbols()) == SPECIES
        np.testing.assert_allclose(frame.positions, fractional @ cell, atol=EXACT)
    back = Crystals.from_ase(frames)
    assert back.species == SPECIES
    np.testing.assert_array_equal(back.cell, cell)
    np.testing.assert_allclose(back.fractional, crystals.fractional, atol=EXACT)


@pytest.mark.parametrize(
    ("index", "chosen"),
    [
        (0, [0]),
        (-1, [3]),
        (np.int64(2), [2]),
        (np.array(2), [2]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -2), [3, 1]),
        (slice(7, 9), []),
        (np.array([2, 0]), [2, 0]),
        (np.array([True, False, False, True]), [0, 3]),
        ([True, False, False, True], [0, 3]),
        ([1], [1]),
        ([-1, 0, 0], [3, 0, 0]),
        ([], []),
    ],
)
def test_integers_slices_lists_and_masks_select_structures(index, chosen):
    crystals = some()
    selected = crystals[index]
    assert isinstance(selected, Crystals)
    np.testing.assert_array_equal(selected.fractional, crystals.fractional[np.array(chosen, dtype=int)])
    np.testing.assert_array_equal(selected.cell, crystals.cell)
    assert selected.species == SPECIES


@pytest.mark.parametrize("index", [4, -5, [0, 4], np.array([True, False])])
def test_what_is_out_of_range_is_an_index_error(index):
    with pytest.raises(IndexError):
        some()[index]


def test_iteration_gives_the_structures_one_by_one():
    crystals = some()
    assert [len(one) for one in crystals] == [1] * 4
    np.testing.assert_array_equal(np.concatenate([one.fractional for one in crystals]), crystals.fractional)


@pytest.mark.parametrize(
    ("fractional", "cell"),
    [(np.zeros((5, 3)), TRICLINIC), (np.zeros((1, 4, 3)), TRICLINIC), (np.zeros((1, 5, 3)), np.eye(2))],
)
def test_arrays_of_another_shape_are_refused(fractional, cell):
    with pytest.raises(ValueError, match="must be"):
        Crystals(fractional, cell, SPECIES)


@pytest.mark.parametrize(
    ("most", "chosen"), [(1, [0]), (2, [0, 6]), (3, [0, 3, 6]), (4, [0, 2, 4, 6]), (7, [*range(7)]), (9, [*range(7)])]
)
def test_some_from_the_first_to_the_last(most, chosen):
    crystals = Crystals(np.arange(7.0)[:, None, None] / 7 + np.zeros((7, 2, 3)), np.eye(3), ("Li", "O"))
    assert (crystals.evenly(most).fractional[:, 0, 0] * 7).round().tolist() == chosen
    assert len(crystals[:0].evenly(most)) == 0


def test_structures_are_the_same_up_to_rounding_and_across_faces():
    fractional = np.random.default_rng(0).random((3, 4, 3))
    fractional[0, 0] = 0.0
    crystals = Crystals(fractional, 5.0 * np.eye(3), ("Li", "Li", "O", "O"))
    moved = crystals.fractional.copy()
    moved[0, 0] -= 1e-9
    assert crystals.same_as(Crystals(moved, crystals.cell, crystals.species))
    moved[0, 0] -= 1e-5
    assert not crystals.same_as(Crystals(moved, crystals.cell, crystals.species))
    assert not crystals.same_as(crystals[:2])
    assert not crystals.same_as(Crystals(fractional, crystals.cell, ("Li", "O", "Li", "O")))
    moved[1, 1] = np.nan
    nowhere = Crystals(moved, crystals.cell, crystals.species)
    assert nowhere.same_as(nowhere)
    assert not nowhere.same_as(crystals)
