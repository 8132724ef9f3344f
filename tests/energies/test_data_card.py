"""Cards of data sets: found beside their file, checked key by key."""

import numpy as np
import pytest

from cryingan.energies.data_card import DataCard, default_potential, read_data_card, read_random_energies
from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard


@pytest.mark.parametrize("name", ["set.extxyz", "set.extxyz.gz", "set", "set.v2.extxyz"])
def test_data_card_belongs_to_its_file(name, tmp_path):
    (tmp_path / "set.card.yaml").write_text("name: set")
    (tmp_path / "set.v2.card.yaml").write_text("name: set.v2")
    assert read_data_card(tmp_path / name).name == ("set.v2" if "v2" in name else "set")


def test_data_card_file(tmp_path):
    data = tmp_path / "set.extxyz.gz"
    assert read_data_card(data) == DataCard(kind="bulk", rule="mean")
    (tmp_path / "set.card.yaml").write_text(
        "name: x\nkind: interface\narea_axis: a\n"
        f"cutoffs:\n- {{potential: p, hash: '{'a' * 64}', energy_per_atom: -4.78}}"
    )
    card = read_data_card(data)
    assert (card.kind, card.area_axis, card.rule) == ("interface", "a", "maximum")
    assert card.cutoff(PotentialCard("p", "a" * 64, ())).energy_per_atom == -4.78
    assert card.cutoff(PotentialCard("p", "b" * 64, ())) is None
    assert card.cutoff(PotentialCard("q", "a" * 64, ())) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: slab", "must be one of interface, bulk"),
        ("kind: bulk\nrule: median", "maximum, mean, percentile"),
        ("kind: interface\narea_axis: z", "must be one of a, b, c"),
        ("kind: interface\nareaaxis: c", "areaaxis"),
        ("cutoffs: [{potential: p, energy_per_atom: -4.78}]", "potential, hash and energy_per_atom"),
        (
            f"cutoffs: [{{potential: p, hash: {'a' * 64}, energy_per_atom: 1, other: 2}}]",
            "perhaps random and quantiles, nothing else",
        ),
        ("cutoffs: [{potential: p, hash: 12ab, energy_per_atom: -4.78}]", "64 hexadecimal"),
        (f"cutoffs: [{{potential: p, hash: {'a' * 64}, energy_per_atom: low}}]", "must be a number"),
        (f"cutoffs: [{{potential: p, hash: {'a' * 64}, energy_per_atom: .nan}}]", "must be a number"),
        (f"cutoffs: [{{potential: p, hash: {'a' * 64}, energy_per_atom: 1, random: 5}}]", "random 5 must be a file"),
        (
            f"cutoffs: [{{potential: p, hash: {'a' * 64}, energy_per_atom: 1, quantiles: [-4.2]}}]",
            r"quantiles \[-4.2\] must be energies by percentage",
        ),
        ("percentile: 200", "percentile: 200 must be a number between 0 and 100"),
        ("percentile: abc", "percentile: 'abc' must be a number"),
        ("default_potential: 5", "default_potential: 5 must be a folder"),
        ("default_potential: {path: si.xml}", "must be a folder beside the card, or have a kind"),
        ("just text", "card.yaml"),
        ("kind: [", "card.yaml"),
    ],
)
def test_wrong_data_card_is_one_line_that_names_it(text, message, tmp_path):
    (tmp_path / "set.card.yaml").write_text(text)
    with pytest.raises(CryinGANError, match=message) as caught:
        read_data_card(tmp_path / "set.extxyz")
    assert str(caught.value).startswith(str(tmp_path / "set.card.yaml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["number,energy\n0,1\n", "energy_per_atom\nlow\n", None])
def test_energies_of_random_structures_that_cannot_be_read_are_refused(text, tmp_path):
    if text is not None:
        (tmp_path / "random.csv").write_text(text)
    with pytest.raises(CryinGANError, match=r"random\.csv: a CSV file with a column energy_per_atom is wanted"):
        read_random_energies(tmp_path / "random.csv")


def test_energies_of_random_structures_may_be_missing(tmp_path):
    (tmp_path / "random.csv").write_text("number,energy_per_atom\n0,-1.5\n1,\n")
    np.testing.assert_array_equal(read_random_energies(tmp_path / "random.csv"), [-1.5, np.nan])


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("name: x", None),
        ("default_potential: potential", {"kind": "m3gnet", "path": "{}/potential"}),
        ("default_potential: {kind: gap, path: gap/si.xml}", {"kind": "gap", "path": "{}/gap/si.xml"}),
        ("default_potential: {kind: tersoff, h: -0.6}", {"kind": "tersoff", "h": -0.6}),
    ],
)
def test_the_potential_of_a_set_lies_beside_its_card(text, given, tmp_path):
    (tmp_path / "set.card.yaml").write_text(text)
    expected = given and {key: value.format(tmp_path) if key == "path" else value for key, value in given.items()}
    assert default_potential(tmp_path / "set.extxyz") == expected
