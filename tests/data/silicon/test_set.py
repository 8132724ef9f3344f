"""The set that comes with the project, and its GAP."""

import csv
import json
import shutil

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from cryingan.energies.data_card import default_potential, read_data_card
from cryingan.potentials.potential import load_potential
from cryingan.structures.files import read_structures
from data.module import StructureData
from data.silicon.checks import bonds
from data.silicon.gap_readme import write_readme as write_gap_readme
from data.silicon.paper import PAPER_MOTIFS
from data.silicon.readme import MADE, write_readme
from data.silicon.rings import rings_per_atom
from data.silicon.settings import SILICON, SiliconBuildSettings
from sample import sample
from tests.conftest import compose
from tests.support.potentials import PUBLISHED_M3GNET, needs_weights
from tests.support.sampling import compose as compose_samples

DATA = SILICON / "silicon.extxyz.gz"


@pytest.fixture(scope="module")
def crystals():
    return read_structures(DATA)


@pytest.fixture(scope="module")
def made():
    return read_data_card(DATA).made


def test_structures_are_those_of_the_card(crystals, made):
    assert crystals.species == ("Si",) * 256
    np.testing.assert_array_equal(crystals.cell, 17.3652 * np.eye(3))
    assert len(crystals) == made["structures"]
    assert DATA.stat().st_size < 5e6
    first = crystals.fractional[:, 0]
    assert len(np.unique(first.round(5), axis=0)) == len(crystals), "no structure stands twice"


def test_coordination_on_the_card_is_that_of_ase(crystals, made):
    counts = [np.bincount(neighbor_list("i", atoms, 2.85), minlength=256) for atoms in crystals[::10].to_ase()]
    shares = {number: 100 * (np.array(counts) == number).mean() for number in (3, 4, 5)}
    for number, share in shares.items():
        assert share == pytest.approx(made["coordination"]["shares"][number], abs=1.0)
    assert made["coordination"]["shares"][4] >= 90


def test_rings_on_the_card_are_those_of_the_set(crystals, made):
    assert rings_per_atom(crystals) == pytest.approx(made["rings_per_atom"], abs=6e-6)


def test_motifs_are_near_the_papers(made):
    for motif, share in PAPER_MOTIFS.items():
        assert made["motifs"][motif] == pytest.approx(share, abs=2)


def test_pages_are_those_that_their_builders_write(made, tmp_path):
    write_readme(made, SiliconBuildSettings(), tmp_path / "README.md")
    ours, written = (path.read_text().partition(MADE)[0] for path in (SILICON / "README.md", tmp_path / "README.md"))
    assert ours == written
    gap = shutil.copytree(SILICON / "gap", tmp_path / "gap")
    write_gap_readme(json.loads((gap / "metrics.json").read_text()), gap / "GAP-silicon.xml")
    assert (gap / "README.md").read_text() == (SILICON / "gap/README.md").read_text()


def test_energies_are_those_of_the_default_potential_at_rest(crystals, made):
    potential = load_potential(**default_potential(DATA))
    cutoff = read_data_card(DATA).cutoff(potential.card)
    assert cutoff is not None, "the zero belongs to the potential of the set"
    with (SILICON / "energies.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if not row["refused"]]
    known = np.array([float(row["energy_per_atom"]) for row in rows])
    assert cutoff.energy_per_atom == pytest.approx(known.mean(), abs=2e-6)
    energies, forces = potential.evaluate(crystals[:20].to_ase())
    np.testing.assert_allclose(energies / 256, known[:20], atol=1e-5)
    assert max(np.linalg.norm(force, axis=1).max() for force in forces) < 0.05


def test_a_fifth_is_held_out():
    config = compose("data=silicon", "model=flow")
    data = StructureData(config.data.path)
    training, validation = data.split()
    assert len(validation) == round(0.2 * len(data.crystals))
    assert not set(training) & set(validation)
    assert data.random.title == "random atoms"


def test_displaced_diamond_is_a_rival(tmp_path, capsys):
    path = sample(compose_samples("rival=diamond", "data=silicon", "n=2", f"output={tmp_path / 'out'}"))
    assert "displaced diamond in the cell of" in capsys.readouterr().out
    crystals = read_structures(path)
    assert (len(crystals), crystals.species) == (2, ("Si",) * 256)
    counts = bonds(crystals.fractional[0] @ crystals.cell, crystals.cell).counts
    assert (counts == 4).mean() > 0.9


def test_the_gap_of_the_set_reproduces_its_references():
    pytest.importorskip("quippy", reason="quippy-ase is not installed")
    path = SILICON / "gap/GAP-silicon.xml"
    gap = load_potential("gap", path)
    assert (gap.card.name, gap.card.elements) == ("GAP-silicon", ("Si",))
    assert len(gap.card.references) == 3
    assert path.stat().st_size < 1e6


@pytest.mark.slow  # loads an M3GNet: python -m pytest -m slow tests/data/silicon
@needs_weights
def test_the_gap_follows_its_teacher_on_the_set(crystals):
    """Structures of the set are larger than those that it was fitted to, and at other places."""
    pytest.importorskip("quippy", reason="quippy-ase is not installed")
    frames = crystals[:3].to_ase()
    gap, teacher = load_potential("gap", SILICON / "gap/GAP-silicon.xml"), load_potential("m3gnet", PUBLISHED_M3GNET)
    (energies, forces), (known, known_forces) = gap.evaluate(frames), teacher.evaluate(frames)
    assert np.abs(energies - known).max() / 256 < 0.01
    assert np.abs(np.concatenate(forces) - np.concatenate(known_forces)).mean() < 0.2
