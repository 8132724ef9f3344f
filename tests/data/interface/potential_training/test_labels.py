"""Labels under the names, units and formats that public sets have, and what is refused about them."""

import re
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import GPa

from cryingan.errors import CryinGANError
from data.interface.potential_training.frames import frames_of_file
from tests.support.potential_training import labelled_file

VASP = Path(ase.__file__).parent / "test/testdata/vasp"
N = 6  # frames of the files here
ATOM = 'Properties=species:S:1:pos:R:3:forces:R:3 energy=-0.3 config_type=IsolatedAtom pbc="F F F"\nLi 0 0 0 0 0 0\n'


@pytest.fixture
def text(tmp_path):
    """A file as ASE writes it, with energy, forces and stress."""
    return labelled_file(tmp_path / "plain.extxyz", n=N).read_text()


def read(tmp_path, text, **how):
    """Frames of a text."""
    path = tmp_path / "labelled.xyz"
    path.write_text(text)
    return frames_of_file(path, **how)


def of_frame(text, number, pattern, new):
    """Text with a change in one frame, from 1."""
    lines = text.splitlines(True)
    place = [place for place, line in enumerate(lines) if "Properties" in line][number - 1]
    assert re.search(pattern, lines[place])
    lines[place] = re.sub(pattern, new, lines[place])
    return "".join(lines)


def same(frames, others):
    np.testing.assert_allclose(frames.energies, others.energies)
    np.testing.assert_allclose(np.concatenate(frames.forces), np.concatenate(others.forces))
    np.testing.assert_allclose(frames.stresses, others.stresses, atol=1e-9)
    return frames.structures.tolist() == others.structures.tolist()


@pytest.mark.parametrize(
    ("energy", "forces", "stress"),
    [
        ("energy", "force", "stress"),
        ("REF_energy", "REF_forces", "REF_stress"),
        ("dft_energy", "dft_force", "dft_stress"),
        ("DFT_energy", "DFT_forces", "DFT_stress"),
        ("free_energy", "forces", "STRESS"),
        ("TotEnergy", "Force", "Stress"),
    ],
)
def test_usual_names_are_found_and_said(tmp_path, text, capsys, energy, forces, stress):
    renamed = text.replace(" energy=", f" {energy}=").replace("forces:", f"{forces}:").replace("stress=", f"{stress}=")
    assert same(read(tmp_path, renamed), read(tmp_path, text))
    said = f"energies from {energy}, forces from {forces}, stresses from {stress}\n"
    assert capsys.readouterr().err.splitlines(True)[0].endswith(said)


def test_names_that_are_given(tmp_path, text):
    own = text.replace(" energy=", " E=").replace("forces:", "my_f:").replace("stress=", "sigma=")
    keys = {"energy": "E", "forces": "my_f", "stress": "sigma"}
    assert same(read(tmp_path, own, label_keys=keys), read(tmp_path, text))
    with pytest.raises(CryinGANError, match=r"frame 1 has no energy by a usual name: give energy_key=NAME; .*E.*my_f"):
        read(tmp_path, own)
    with pytest.raises(CryinGANError, match="frame 1 has no F, which forces_key asks for"):
        read(tmp_path, own, label_keys={**keys, "forces": "F"})


@pytest.mark.parametrize("components", [6, 9])
def test_virial_is_turned_into_the_derivative_of_the_energy(tmp_path, components):
    """Stress is dE/dstrain / volume; the virial of MACE, GAP and GPUMD is -dE/dstrain."""
    frames, calculator = [], LennardJones(sigma=2.0, epsilon=0.1, rc=4.0, smooth=True)
    for atoms in ase.io.read(labelled_file(tmp_path / "plain.extxyz", n=N), ":"):
        atoms.calc = calculator
        derivative = np.zeros((3, 3))
        for i, j in np.ndindex(3, 3):
            ends = []
            for step in (-1e-5, 1e-5):
                strained, strain = atoms.copy(), np.eye(3)
                strain[i, j] += step / 2
                strain[j, i] += step / 2
                strained.set_cell(atoms.cell @ strain, scale_atoms=True)
                strained.calc = calculator
                ends.append(strained.get_potential_energy())
            derivative[i, j] = (ends[1] - ends[0]) / 2e-5
        known = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.info["stress_by_ase"] = atoms.get_stress()
        virial = -derivative
        six = virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        atoms.info["virial"] = virial if components == 9 else six
        atoms.calc = SinglePointCalculator(atoms, **known)
        frames.append(atoms)
    path = tmp_path / "virial.extxyz"
    ase.io.write(path, frames, format="extxyz")
    expected = [atoms.info["stress_by_ase"] for atoms in frames]
    found = frames_of_file(path).stresses
    np.testing.assert_allclose(found[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("suffix", ["traj", "json", "db", "extxyz.gz"])
def test_formats_of_ase(tmp_path, text, suffix):
    plain = read(tmp_path, text)
    ase.io.write(tmp_path / f"a.{suffix}", ase.io.read(tmp_path / "labelled.xyz", ":"))
    assert same(frames_of_file(tmp_path / f"a.{suffix}"), plain)


@pytest.mark.skipif(not VASP.is_dir(), reason="ASE is installed without its test data")
def test_outcar_and_vasprun_have_their_units(capsys):
    """VASP prints kB, positive when the cell is compressed."""
    outcar = VASP / "OUTCAR_example_1"
    [frame] = frames_of_file(outcar)[np.array([0])].stresses
    [pressure] = re.findall(r"external pressure = +(\S+) kB", outcar.read_text())
    assert -np.trace(frame) / 3 / GPa * 10 == pytest.approx(float(pressure), abs=0.01)
    assert "not used: free_energy" in capsys.readouterr().err
    vasprun = VASP / "vasprun_pstress.xml"
    printed = re.findall(r'<varray name="stress" >\s*<v> +(\S+)', vasprun.read_text())[-1]
    assert frames_of_file(vasprun).stresses[0, 0, 0] == pytest.approx(-float(printed) / 10 * GPa)


def test_isolated_atoms_are_skipped_and_counted(tmp_path, text, capsys):
    boxed = '1\nLattice="12 0 0 0 12 0 0 0 12" Properties=species:S:1:pos:R:3 pbc="T T T"\nCl 0 0 0\n'
    bulk = '1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3:forces:R:3 energy=-2\nLi 0 0 0 0 0 0\n'
    plain = re.sub('stress="[^"]+" ', "", text)
    frames = read(tmp_path, f"1\n{ATOM}{plain}{boxed}{bulk}1\n{ATOM}")
    assert "isolated atoms skipped: 3" in capsys.readouterr().err
    assert len(frames) == N + 1
    np.testing.assert_allclose(frames.energies, [*read(tmp_path, plain).energies, -2])
    with pytest.raises(CryinGANError, match="holds no structures, only 2 isolated atoms"):
        read(tmp_path, 2 * boxed)


@pytest.mark.parametrize("number", [1, 4, N])
@pytest.mark.parametrize(
    ("pattern", "new", "message"),
    [
        (r" energy=\S+", "", "has no energy.*it has keys: .*stress"),
        (r" energy=\S+", " energy=nan", "energy is not finite"),
        (r" energy=\S+", " energy=None", "energy must be a number, not None"),
        (r" energy=\S+", " energy=1 REF_energy=2", "energy_key=energy or energy_key=REF_energy"),
        (r"forces:R:3", "velo:R:3", "has no forces.*columns: velo"),
        (r"forces:R:3", "forces:R:2:d:R:1", "forces must be three numbers for each atom"),
        (r'stress="[^"]+"', 'stress="1 2 3"', "stress must be six or nine numbers"),
        (r'stress="[^"]+"', 'stress="0 1 0 0 0 0 0 0 0"', "stress is not symmetric"),
        (r'stress="[^"]+"', 'stress="387 0 0 0 387 0 0 0 387"', "stress would be 62,004 GPa.*in other units"),
        (r'stress="', 'virial="1 0 0 0 1 0 0 0 1" stress="', "stress_key=stress or stress_key=virial"),
        (r" energy=\S+", " energy=-9e7", "energy would be .*eV/atom"),
        (r'Lattice="[^"]+" ', "", "has no cell"),
        (r'pbc="T T T"', 'pbc="F F F"', 'pbc is "F F F"'),
    ],
)
def test_fault_of_a_frame_is_said_in_one_line(tmp_path, text, number, pattern, new, message):
    with pytest.raises(CryinGANError, match=f"frame {number}[ :].*{message}") as caught:
        read(tmp_path, of_frame(text, number, pattern, new))
    assert "\n" not in str(caught.value)


def test_atoms_are_checked_as_those_of_training_structures(tmp_path, text):
    lines = text.splitlines(True)
    for line, message in (
        (lines[2].replace(lines[2].split()[0], "X"), "frame 1, atom 1: unknown element"),
        (re.sub(r" [-\d.]+", " nan", lines[2], count=1), "frame 1, atom 1: position"),
        (lines[3], "frame 1: atoms 1 and 2 are 0.000 Angstrom apart"),
        (re.sub(r"[-\d.]+$", "9e4", lines[2]), "frame 1: forces would be 90,000 eV/Angstrom"),
    ):
        with pytest.raises(CryinGANError, match=message):
            read(tmp_path, "".join([*lines[:2], line, *lines[3:]]))
    with pytest.raises(CryinGANError, match=f"frame {N} ends early"):
        read(tmp_path, "".join(lines[:-1]))


def test_stresses_are_those_of_all_frames_or_of_none(tmp_path, text):
    stress = r'stress="[^"]+"'
    with pytest.raises(CryinGANError, match=r"frame 2 has a stress .*weights.stress=0"):
        read(tmp_path, of_frame(text, 1, stress, ""))
    lacking = of_frame(text, N, stress, "")
    with pytest.raises(CryinGANError, match=f"frame {N} has no stress, others have: .*weights.stress=0"):
        read(tmp_path, lacking)
    assert read(tmp_path, lacking, stresses=False).stresses is None


def test_energies_per_atom_and_stresses_in_gigapascal(tmp_path, text, capsys):
    frames = []
    for number, atoms in enumerate(ase.io.read(tmp_path / "plain.extxyz", ":")):
        energy, larger = -4 - 0.01 * number, atoms.repeat((1, 1, 1 + number // 2 % 2))
        results = {"forces": np.zeros((len(larger), 3)), "stress": atoms.get_stress() * 160}
        larger.calc = SinglePointCalculator(larger, energy=energy * len(larger), **results)
        frames.append(larger)
    path = tmp_path / "sizes.extxyz"
    ase.io.write(path, frames, format="extxyz")
    assert len(frames_of_file(path)) == N
    assert re.search("stresses are about .* GPa; are they in eV", capsys.readouterr().err)
    for atoms in frames:
        atoms.calc.results["energy"] /= len(atoms)
    ase.io.write(path, frames, format="extxyz")
    with pytest.raises(CryinGANError, match=r"look like energies per atom.*4 to 10"):
        frames_of_file(path)
