"""GAPs: what is read from their files; what they share with other potentials is in test_contract."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from ase.build import bulk

from cryingan.errors import CryinGANError
from cryingan.potentials.gap import read_gap
from cryingan.potentials.potential import load_potential
from cryingan.structures.crystals import Crystals
from tests.support.gap import labelled, tiny_gap
from tests.support.potentials import as_reference, rattled
from tests.support.relaxations import quietly

pytest.importorskip("quippy", reason="quippy-ase is not installed")


def glue():
    """Parameters of the potential Glue of QUIP: a repulsion of pairs that ends at 3 Angstrom, and no density."""
    points = {
        ("a", "rho"): [(0.5, 0), (2, 0), (3, 0)],
        ("rho", "E"): [(0, 0), (1, 0), (2, 0)],
        ("r", "E"): [(1, 20), (1.5, 9), (2, 4), (2.5, 1), (3, 0)],
    }
    density, embedding, pairs = (
        (len(values), "".join(f'<point {x}="{at}" {y}="{value}"/>' for at, value in values))
        for (x, y), values in points.items()
    )
    return (
        '<Glue_params n_types="1"><per_type_data atomic_num="14" type="1">'
        f'<density num_points="{density[0]}" density_y1="0" density_yn="0">{density[1]}</density>'
        f'<potential_density num_points="{embedding[0]}">{embedding[1]}</potential_density></per_type_data>'
        f'<per_pair_data type1="1" type2="1"><potential_pair num_points="{pairs[0]}" y1="1e50" yn="0">{pairs[1]}'
        "</potential_pair></per_pair_data></Glue_params>"
    )


@pytest.fixture
def files(tmp_path):
    """A GAP with its files of sparse points, to damage."""
    return shutil.copytree(tiny_gap(separate=True).parent, tmp_path / "with space")


def energy_of(path, frames):
    return load_potential("gap", path).evaluate(frames)


@pytest.mark.parametrize("separate", [False, True])
def test_energies_and_forces_are_those_of_the_package(separate):
    from quippy.potential import Potential

    path = tiny_gap(separate)
    frames = [rattled(bulk("Si", cubic=True).repeat((1, 1, size)), size) for size in (1, 2)]
    energies, forces = energy_of(path, frames)
    calculator = Potential("IP GAP", param_filename=str(path))
    for frame, energy, force in zip(frames, energies, forces, strict=True):
        frame.calc = calculator
        assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(force, frame.get_forces(), atol=1e-9)


@pytest.mark.slow  # starts workers: python -m pytest -m slow tests/potentials
def test_several_processes_relax_as_one_does():
    crystals = Crystals.from_ase([rattled(bulk("Si", cubic=True), seed) for seed in range(4)])
    potential = load_potential("gap", tiny_gap())
    alone, together = (quietly(crystals, potential, processes=processes, max_steps=20) for processes in (1, 2))
    assert (alone.steps == together.steps).all()
    np.testing.assert_allclose(alone.energy_final, together.energy_final, atol=1e-8)


def test_it_has_learnt_its_training_set():
    frames = labelled(10)
    energies, _ = energy_of(tiny_gap(), frames)
    known = np.array([frame.info["energy"] for frame in frames])
    assert (energies - known).std() < 0.2 * known.std()


def test_a_sum_keeps_all_its_parts(tmp_path):
    """As the published potential of silicon, a Glue and a GAP: without the Glue atoms fall into each other."""
    text = tiny_gap().read_text()
    label = read_gap(tiny_gap()).label
    both = f"Sum init_args_pot1={{IP Glue}} init_args_pot2={{IP GAP label={label}}}"
    text = re.sub(r'init_args="[^"]*"', f'init_args="{both}"', text, count=1)
    text = text.replace("<GAP_params", glue() + "<GAP_params", 1)
    (tmp_path / "sum.xml").write_text(text)
    frames = [bulk("Si", a=constant) for constant in (5.4, 4.0)]
    added, _ = energy_of(tmp_path / "sum.xml", frames)
    alone, _ = energy_of(tiny_gap(), frames)
    assert (added > alone + 0.5).all()
    assert added[1] - alone[1] > 2 * (added[0] - alone[0])


def test_the_hash_covers_the_files_of_sparse_points(files):
    first = read_gap(files / "tiny.xml")
    assert first.elements == ("Si",)
    (files / "tiny.xml").rename(files / "renamed.xml")
    assert read_gap(files / "renamed.xml") == first, "a name changes nothing"
    text = (files / "renamed.xml").read_text()
    points = sorted(files.glob("*.sparseX.*"))[-1]
    points.write_text(points.read_text().replace("0", "1", 1))
    with pytest.raises(CryinGANError, match="other sparse points"):
        read_gap(files / "renamed.xml")
    (files / "renamed.xml").write_text(re.sub(r' sparseX_md5sum="\w+"', "", text))
    assert read_gap(files / "renamed.xml").hash != first.hash


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "no XML file of a GAP"),
        (lambda text: "", "no XML file of a GAP"),
        (lambda text: "<a><Potential/></a>", "no XML file of a GAP"),
        (lambda text: re.sub('alpha="[^"]*"', 'alpha="many"', text), "no XML file of a GAP"),
        (lambda text: re.sub('alpha="[^"]*"', 'alpha="nan"', text, count=1), "a coefficient alpha is not finite"),
        (lambda text: '<?xml version="1.0" encoding="klingon"?>' + text, "no XML file of a GAP.*unknown encoding"),
        (lambda text: re.sub(r"(Z\d?=\{?)14", r"\g<1>0", text), "no descriptor names an element"),
        (lambda text: re.sub(r"(Z\d?=\{?)14", r"\g<1>999", text), "no XML file of a GAP"),
        (lambda text: re.sub(r"(Z\d?=\{?)14", r"\1", text), "no descriptor names an element"),
        (lambda text: text.replace("tiny.xml.sparseX", "lost"), "needs the sparse points in lost"),
    ],
)
def test_a_damaged_file_is_one_clear_error(files, damage, message):
    path = files / "tiny.xml"
    path.write_text(damage(path.read_text()))
    with pytest.raises(CryinGANError, match=message) as caught:
        load_potential("gap", path)
    assert "\n" not in str(caught.value)


def test_a_path_is_needed(tmp_path):
    with pytest.raises(CryinGANError, match="needs a path"):
        load_potential("gap")
    with pytest.raises(CryinGANError, match="cannot be read"):
        load_potential("gap", tmp_path / "none.xml")


def test_references_are_those_of_the_card_beside_it(files, caplog):
    silicon, path = bulk("Si", cubic=True), files / "tiny.xml"
    (energy,), _ = energy_of(path, [silicon])
    assert "not verified" in caplog.text
    caplog.clear()
    card = {"name": "mine", "hash": read_gap(path).hash, "references": [as_reference(silicon, energy)]}
    (files / "card.json").write_text(json.dumps(card))
    assert load_potential("gap", path).card.name == "mine"
    assert not caplog.text
    with pytest.raises(CryinGANError, match="wrong weights or a wrong card"):
        load_potential("gap", path, references=[as_reference(silicon, energy + 1)])
    (files / "card.json").write_text(json.dumps({**card, "hash": "0" * 64}))
    with pytest.raises(CryinGANError, match=r"the card of other weights.*rename it NAME.card.json"):
        load_potential("gap", path)
    (files / "tiny.card.json").write_text(json.dumps(card))
    assert load_potential("gap", path).card.name == "mine", "the card of its own name counts"
    (files / "card.json").rename(files / "other.card.json")
    (files / "tiny.card.json").unlink()
    assert load_potential("gap", path).card.name == "tiny", "a card of another name does not"


@pytest.mark.parametrize(
    ("descriptor", "elements"),
    [
        ("distance_2b cutoff=4.0 Z1=6 Z2=14", ("C", "Si")),
        ("soap n_species=2 Z=14 species_Z={6 14}", ("C", "Si")),
        ("soap n_species=2 Z = 14 species_Z={{6 14}}", ("C", "Si")),
        ("soap n_Z=2 Z={{14 6}}", ("C", "Si")),
        ("soap n_Z=1 Z={ {14 } }", ("Si",)),
        ("soap n_Z=2 Z={14, 6} n_species=2 species_Z={6,\t14}", ("C", "Si")),
        ("soap Z=0 n_species=2 species_Z={{8, 14}}", ("O", "Si")),
        ("soap zeta=4 Zone=7 n_Z=1 Z={32} atom_sigma=0.5", ("Ge",)),
    ],
)
def test_elements_are_found_however_they_are_written(tmp_path, descriptor, elements):
    text = f"<GAP><Potential label='a'/><gpCoordinates><descriptor>{descriptor}</descriptor></gpCoordinates></GAP>"
    (tmp_path / "gap.xml").write_text(text)
    assert read_gap(tmp_path / "gap.xml").elements == elements


def test_a_package_that_is_absent_is_named():
    code = (
        "import sys; sys.modules['quippy'] = None; from cryingan.potentials.potential import load_potential as load\n"
    )
    code += f"try: load('gap', {str(tiny_gap())!r})\nexcept Exception as error: print(type(error).__name__, error)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("CryinGANError the package quippy-ase is installed, but not quippy")
