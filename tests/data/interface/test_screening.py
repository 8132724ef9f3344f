"""Structures that a quicker potential finds too high do not go on; the lowest share is kept exactly."""

import shutil

import numpy as np
import pytest
import yaml

from cryingan.energies.data_card import read_data_card, read_random_energies
from cryingan.energies.fractions import quantile_thresholds
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from data.interface import build
from data.interface.screening import SCREENED
from tests.support.interfaces import QUICK, build_settings, energy_rows, write_system

pytestmark = pytest.mark.usefixtures("no_figures")
N, KEPT = 7, 3
SHARE = f"kept: {KEPT / N:.4f}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a system of which all structures relax with both potentials."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "draw", lambda *_: None)
        build.build(build_settings(low_system(folder), N, first=QUICK))
    return folder


def low_system(folder):
    system = write_system(folder)
    system.write_text(system.read_text().replace("kept: 0.5", SHARE))
    return system


def quick_energies(whole):
    """Energies by the quicker potential, eV/atom, by number."""
    rows = (whole / "set/work/first_structures_000000_000006/relax.csv").read_text().splitlines()
    names, *values = (row.split(",") for row in rows)
    table = [dict(zip(names, one, strict=True)) for one in values]
    return np.array([float(row["energy_final"]) / 31 for row in sorted(table, key=lambda row: int(row["sample"]))])


def between(energies, count):
    """An energy that so many lie below."""
    return float(np.sort(energies)[count - 1 : count + 1].mean())


@pytest.fixture
def screen(whole):
    """The lowest energy, a little above the kept structures, that screens some."""
    rows, energies = energy_rows(whole / "set"), quick_energies(whole)
    last = max(energies[int(row["number"])] for row in rows if row["kept"] == "True")
    return between(energies, int((energies <= last).sum()))


def screened_build(folder, screen, n=N, **changes):
    folder.mkdir(exist_ok=True)
    system = folder / "pair.yaml"
    return build.build(
        build_settings(system if system.exists() else low_system(folder), n, first=QUICK, screen=screen, **changes)
    )


def test_the_kept_structures_are_those_of_a_build_without_a_screen(whole, screen, tmp_path):
    folder = screened_build(tmp_path / "screened", screen)
    rows, all_rows, quick = energy_rows(folder), energy_rows(whole / "set"), quick_energies(whole)
    assert [row["reason"] == SCREENED for row in rows] == (quick > screen).tolist()
    assert 0 < (quick > screen).sum() < N - 1
    for row, other in zip(rows, all_rows, strict=True):
        if row["reason"] == SCREENED:
            assert (row["energy_per_atom"], row["kept"]) == ("", "False")
        else:
            assert row == other
    assert (folder / "pair.extxyz.gz").read_bytes() == (whole / "set/pair.extxyz.gz").read_bytes()

    card, first = read_data_card(folder / "pair.extxyz.gz"), load_potential(**QUICK).card
    assert card.cutoffs[0].energy_per_atom == read_data_card(whole / "set/pair.extxyz.gz").cutoffs[0].energy_per_atom
    assert card.made["ended"] == {"converged": N - (quick > screen).sum(), SCREENED: (quick > screen).sum()}
    assert (card.made["kept"], card.made["screen"]) == (KEPT, screen)
    assert card.made["highest_kept_first"] <= screen
    cutoff = card.cutoff(first)
    np.testing.assert_allclose(read_random_energies(folder / cutoff.random), quick, atol=1e-9)
    assert cutoff.energy_per_atom == pytest.approx(np.sort(quick)[KEPT - 1], abs=2e-8)
    for one in card.cutoffs:
        known = quantile_thresholds(read_random_energies(folder / one.random))
        assert one.quantiles == pytest.approx(known, abs=1e-8)
    text = " ".join((folder / "README.md").read_text().split())
    assert f"screen={screen}" in text
    assert f"Of these, {(quick > screen).sum()} did not go on" in text


def test_more_structures_are_added_and_a_part_may_be_screened_whole(whole, screen, tmp_path):
    at_once = screened_build(tmp_path / "at_once", screen)
    quick = quick_energies(whole)
    steps = sorted({2, int(np.argmax(quick > screen)), int(np.argmax(quick > screen)) + 1, N} - {0, 1})
    for n in steps:  # one of these parts is a single structure that does not go on
        if (quick[:n] <= screen).sum() >= 2:
            folder = screened_build(tmp_path / "parts", screen, n)
    for name in ("pair.extxyz.gz", "energies.csv", "pair.card.yaml", "README.md", "energies_pair.csv"):
        assert (folder / name).read_bytes() == (at_once / name).read_bytes()


def test_a_running_build_is_collected_up_to_the_first_structure_that_waits(whole, tmp_path):
    screen = between(quick_energies(whole), N - 1)
    folder = screened_build(tmp_path / "set", screen)
    rows = energy_rows(folder)
    [part] = (folder / "work").glob("structures_*")
    journal = (part / "relax.csv").read_text().splitlines(keepends=True)
    (part / "relax.csv").write_text("".join(journal[:-2] + journal[-1:]))  # one has not ended
    waiting = int(journal[-2].split(",")[0])
    screened_build(tmp_path / "set", screen, collect=True)
    columns = ("number", "energy_per_atom", "reason")
    expected = [[row[name] for name in columns] for row in rows[:waiting]]
    assert [[row[name] for name in columns] for row in energy_rows(folder)] == expected


def test_a_screen_below_the_kept_share_is_said_and_nothing_is_written(whole, tmp_path):
    with pytest.raises(
        CryinGANError, match=r"relaxed and . screened, so the lowest 43% are not known: build with a hi"
    ):
        screened_build(tmp_path / "set", between(quick_energies(whole), 2))
    assert not (tmp_path / "set/set/pair.extxyz.gz").exists()


def test_another_screen_is_refused(screen, tmp_path):
    folder = screened_build(tmp_path / "set", screen)
    kept = (folder / "energies.csv").read_bytes()
    for n in (N, N + 1):
        with pytest.raises(CryinGANError, match=r"was begun with screen=-?\d.*, here it is 9: give an empty folder"):
            screened_build(tmp_path / "set", 9, n)
    with pytest.raises(CryinGANError, match=r"was begun with screen=-?\d.*, here it is None"):
        screened_build(tmp_path / "set", None)
    assert (folder / "energies.csv").read_bytes() == kept


def test_a_screen_needs_the_quicker_potential(tmp_path):
    for changes in ({"screen": -4.0}, {"screen": float("nan"), "first": QUICK}):
        with pytest.raises(CryinGANError, match="must be an energy by `first`, which is then needed"):
            build_settings(tmp_path / "pair.yaml", 2, **changes)


def test_a_part_without_a_screen_goes_on_as_before(whole, tmp_path):
    """Folders of earlier versions hold no note of a screen."""
    shutil.copytree(whole, tmp_path / "copy")
    (tmp_path / "copy/set/work/first_structures_000000_000006/screen.json").unlink()
    before = energy_rows(tmp_path / "copy/set")
    build.build(build_settings(tmp_path / "copy/pair.yaml", N, first=QUICK))
    assert energy_rows(tmp_path / "copy/set") == before
    assert "screen" not in yaml.safe_load((tmp_path / "copy/set/pair.card.yaml").read_text())["made"]
