"""Write structures: round trips through ASE and pymatgen, equal bytes, whole or not at all."""

import errno
import resource
import warnings
from contextlib import contextmanager
from pathlib import Path

import ase.io
import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.structures.files import read_structures, write_structures
from tests.support.structure_files import LEFT_HANDED, TRICLINIC, contents, scattered_crystals

POSITIONS = 1e-7  # Angstrom, after extended XYZ with 8 decimals


def read_by_ase(path):
    return [(np.array(a.cell), a.get_scaled_positions(), a.get_chemical_symbols()) for a in ase.io.read(path, ":")]


def read_by_pymatgen(path):
    from pymatgen.core import Structure
    from pymatgen.io.ase import AseAtomsAdaptor
    from pymatgen.io.cif import CifParser

    if path.suffix == ".cif":  # by default the parser rounds coordinates to fractions such as 1/3
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structures = CifParser(path, frac_tolerance=0.0).parse_structures(primitive=False)
    elif path.suffix == ".vasp":
        structures = [Structure.from_file(path)]
    else:
        structures = [AseAtomsAdaptor.get_structure(atoms) for atoms in ase.io.read(path, ":")]
    return [(s.lattice.matrix, s.frac_coords, [site.specie.symbol for site in s]) for s in structures]


@pytest.mark.parametrize("species", [("Li", "Li", "O", "O", "Zr"), ("O", "Li", "O", "Zr", "Li")], ids="".join)
@pytest.mark.parametrize("cell", [TRICLINIC, LEFT_HANDED], ids=["triclinic", "left-handed"])
@pytest.mark.parametrize("read", [read_by_ase, read_by_pymatgen])
@pytest.mark.parametrize("file_format", ["extxyz", "cif", "poscar"])
def test_what_is_written_reads_back_equal(tmp_path, file_format, read, cell, species):
    crystals = scattered_crystals(cell, species)
    target = tmp_path / "samples"
    write_structures(crystals, target.with_suffix(".extxyz") if file_format == "extxyz" else target, file_format)
    paths = sorted(target.iterdir()) if target.exists() else [target.with_suffix(".extxyz")]
    assert [path.stem for path in paths] == (["samples"] if file_format == "extxyz" else ["0001", "0002", "0003"])
    found = [structure for path in paths for structure in read(path)]
    assert len(found) == 3
    for (found_cell, fractional, symbols), expected in zip(found, crystals.fractional, strict=True):
        # pymatgen's CIF parser sorts by element, whatever the file's order is.
        sorts = file_format == "cif" and read is read_by_pymatgen
        order = sorted(range(5), key=lambda atom: symbols.index(species[atom])) if sorts else range(5)
        assert symbols == [species[atom] for atom in order]
        np.testing.assert_allclose(found_cell @ found_cell.T, cell @ cell.T, atol=1e-8)  # all lengths and angles
        if file_format != "cif":
            np.testing.assert_allclose(found_cell, cell, atol=1e-12)
        difference = (fractional - expected[order] + 0.5) % 1.0 - 0.5
        np.testing.assert_allclose(difference @ cell, 0, atol=POSITIONS)
    again = np.concatenate([read_structures(path).fractional for path in paths])
    np.testing.assert_allclose(again, crystals.fractional, atol=POSITIONS)


@pytest.mark.parametrize("file_format", ["extxyz", "cif", "poscar"])
def test_the_same_structures_give_the_same_bytes_and_replace_older_ones(tmp_path, file_format):
    crystals = scattered_crystals(TRICLINIC, ("Li", "O", "Li"))
    targets = [tmp_path / "first", tmp_path / "second"]
    write_structures(crystals[[0, 0, 0, 0]], targets[1], file_format)
    for target in targets:
        write_structures(crystals, target, file_format)
    assert contents(targets[0]) == contents(targets[1])
    assert sorted(item.name for item in tmp_path.iterdir()) == ["first", "second"]


@contextmanager
def full_disk():
    """Files of more than 300 bytes cannot be written, so not what pytest writes into a file either: be quick."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("there", [True, False], ids=["replacing", "new"])
@pytest.mark.parametrize("file_format", ["extxyz", "cif", "poscar"])
def test_a_full_disk_leaves_the_target_as_it_was(tmp_path, file_format, there):
    crystals = scattered_crystals(TRICLINIC, ("Li", "O", "Li", "O"))
    target = tmp_path / "samples"
    if there:
        write_structures(crystals[:1], target, file_format)
    before = contents(target)
    with full_disk(), pytest.raises(CryinGANError, match=f"^{target} cannot be written: File too large$"):
        write_structures(crystals, target, file_format)
    assert contents(target) == before
    assert list(tmp_path.iterdir()) == ([target] if there else [])


@pytest.mark.parametrize("file_format", ["extxyz", "cif", "poscar"])
def test_what_cannot_be_written_is_refused(tmp_path, file_format):
    crystals = scattered_crystals(TRICLINIC, ("Li", "O"))
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "none" / "samples", tmp_path / "file" / "samples"):
        with pytest.raises(CryinGANError, match=f"^{target} cannot be written: "):
            write_structures(crystals, target, file_format)
    with pytest.raises(CryinGANError, match="no structures to write"):
        write_structures(crystals[:0], tmp_path / "samples", file_format)


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    crystals = scattered_crystals(TRICLINIC, ("Li", "O"))
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CryinGANError, match="holds other files"):
        write_structures(crystals, tmp_path, "cif")
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}
    with pytest.raises(CryinGANError, match="format=pdb is not one of"):
        write_structures(crystals, tmp_path / "samples", "pdb")


def test_of_a_linked_folder_the_content_is_replaced(tmp_path):
    crystals = scattered_crystals(TRICLINIC, ("Li", "O"))
    (tmp_path / "scratch").mkdir()
    (tmp_path / "samples").symlink_to(tmp_path / "scratch")
    write_structures(crystals, tmp_path / "samples", "cif")
    assert (tmp_path / "samples").is_symlink()
    assert len(contents(tmp_path / "scratch")) == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_is_restored_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    crystals = scattered_crystals(TRICLINIC, ("Li", "O"))
    write_structures(crystals[:1], tmp_path / "samples", "cif")
    before, rename = contents(tmp_path / "samples"), Path.rename

    def refuse_new(path, target):
        if path.suffix == ".part":
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(CryinGANError, match=r"samples cannot be written: Input/output error"):
        write_structures(crystals, tmp_path / "samples", "cif")
    assert contents(tmp_path / "samples") == before
    assert len(list(tmp_path.iterdir())) == 1
