"""OUTCAR and vasprun.xml of VASP that end early: a step that was begun is named, not dropped."""

import gzip
import re
from pathlib import Path

import ase
import pytest

from cryingan.structures.files import read_structures
from cryingan.structures.lenient import read_candidates
from tests.support.structure_files import refusal

EXAMPLES = Path(ase.__file__).parent / "test" / "testdata" / "vasp"
pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="ASE is installed without its test data")


def outcar():
    """Header, one ionic step and the end of an OUTCAR."""
    text = (EXAMPLES / "OUTCAR_example_1").read_text()
    step = text.rindex("\n", 0, text.index(" Iteration ")) + 1
    end = text.index("FREE ENERGIE OF THE ION-ELECTRON SYSTEM")
    for _ in range(5):
        end = text.index("\n", end) + 1
    return text[:step], text[step:end], text[end:]


def vasprun():
    """Header, one ionic step and the end of a vasprun.xml."""
    text = (EXAMPLES / "vasprun_pstress.xml").read_text()
    start, end = text.index("<calculation>"), text.index("</calculation>") + len("</calculation>\n")
    return text[:start], text[start:end], text[end:]


@pytest.mark.parametrize(("name", "parts"), [("OUTCAR", outcar), ("vasprun.xml", vasprun)])
@pytest.mark.parametrize("compressed", [False, True])
def test_whole_steps_are_read_and_a_cut_one_is_named(tmp_path, name, parts, compressed):
    header, step, end = parts()
    path = tmp_path / (f"{name}.gz" if compressed else name)

    def write(text):
        path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())

    write(header + 3 * step + end)
    assert len(read_structures(path)) == 3
    for share in (0.02, 0.3, 0.6, 0.999):
        write(header + 2 * step + step[: int(share * len(step))])
        assert f"{path}, frame 3 ends early: its ionic step was not finished" in refusal(path)
        assert [frame.atoms is None for frame in read_candidates(path)] == [False, False, True]
        write(header + step[: int(share * len(step))])
        refusal(path)
        assert [frame.atoms is None for frame in read_candidates(path)] == [True]
    if name == "OUTCAR":
        write(header + 2 * step)  # killed between two steps: nothing is lost
        assert len(read_structures(path)) == 2


@pytest.mark.parametrize(("name", "parts"), [("OUTCAR", outcar), ("vasprun.xml", vasprun)])
@pytest.mark.parametrize("ibrion", [-1, 0, 1, 2, 3, 5])
def test_the_steps_of_relaxations_are_counted_in_one_line(tmp_path, name, parts, ibrion, caplog):
    caplog.set_level("INFO")
    header, step, end = parts()
    header, found = re.subn(r'(IBRION(?:">| *=))\s*-?\d+', rf"\g<1>  {ibrion}", header)
    assert found
    for folder, steps in (("run_1", 3), ("run_2", 2), ("run_3", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(header + steps * step + end)
    told = f"5 ionic steps of relaxations in 2 files are all structures; '{tmp_path}/run_*/CONTCAR' gives the last ones"
    assert len(read_structures(tmp_path / "run_*" / name)) == 6
    assert (told in caplog.text) == (ibrion in (1, 2, 3))
    caplog.clear()
    assert len(read_structures(tmp_path / "run_3" / name)) == 1
    assert not caplog.messages
