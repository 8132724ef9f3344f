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
from data.silicon.properties import described
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


@pytest.fixture(scope="module")
def some(crystals):
    return described(crystals[::50], processes=1)


def test_bonds_and_angles_on_the_card_are_those_of_ase(crystals, made):
    lengths, angles = [], []
    for atoms in crystals[::50].to_ase():
        source, distance, vector = neighbor_list("idD", atoms, 2.85)
        lengths.append(distance)
        for atom in range(len(atoms)):
            unit = vector[source == atom] / distance[source == atom, None]
            angles.append(np.degrees(np.arccos(np.clip((unit @ unit.T)[np.triu_indices(len(unit), 1)], -1, 1))))
    lengths, angles = np.concatenate(lengths), np.concatenate(angles)
    for name, value, off in (
        ("bond", lengths.mean(), 1e-3),
        ("bond_deviation", lengths.std(), 2e-3),
        ("angle", angles.mean(), 0.1),
        ("angle_deviation", angles.std(), 0.3),
    ):
        assert made[name] == pytest.approx(value, abs=off), name


def test_curves_on_the_card_are_those_of_histograms(crystals, made):
    """g(r) from all distances of ASE, in bins of its own."""
    density, width = 256 / 17.3652**3, 0.05
    distances = np.concatenate([neighbor_list("d", atoms, 5.0) for atoms in crystals[::50].to_ase()])
    counts, edges = np.histogram(distances, np.arange(1.0, 5.0, width))
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    g, r = counts / (len(crystals[::50]) * 256 * density * shells), (edges[1:] + edges[:-1]) / 2
    for name, low, high in (("first", 2.0, 2.8), ("second", 3.3, 4.5)):
        inside = (r > low) & (r < high)
        assert made["curves"][f"{name}_peak"] == pytest.approx(g[inside].max(), rel=0.1), name
        assert made["curves"][f"{name}_peak_at"] == pytest.approx(r[inside][g[inside].argmax()], abs=0.1), name
    assert made["curves"]["minimum"] == pytest.approx(g[(r > 2.5) & (r < 3.3)].min(), abs=0.05)


def test_motifs_on_the_card_are_those_of_the_set(some, made):
    for motif, share in some.motifs().items():
        assert made["motifs"].get(motif, 0) == pytest.approx(share, abs=1.5), motif


def test_the_noise_floor_falls_as_the_root_of_the_number(some, made):
    floors = [made["noise_floor"], made["noise_floor_of_few"], some.noise_floor(15), some.noise_floor(3)]
    assert [one["structures"] for one in floors] == [750, 30, 15, 3]
    for name in ("d_motif", "d_rdf", "d_angle"):
        worth = [one[name] * one["structures"] ** 0.5 for one in floors]
        assert max(worth) < 4 * min(worth), name  # one draw of halves scatters by half of itself


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
