"""UniMat: frames and their reading, other elements, the order of atoms, what it learns and samples."""

import json

import numpy as np
import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.models.unet.unimat import ATTEMPTS, UniMat
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import matched_distances
from sample import sample
from tests.support.sampling import compose
from tests.support.small_models import UNET, checkpoint_of
from tests.support.unet import STRUCTURE, trained

CELL = [[6.0, 0.0, 0.0], [3.0, 5.0, 0.0], [0.0, 1.0, 8.0]]
SPECIES = ["Li", "Cl", "Li", "O", "Li", "Cl"]
WIDE = {"width": 16, "multiples": [1], "blocks": [1], "attention": [False], "heads": 2, "head_width": 8, "ema": 0.0}


def model(**settings):
    return UniMat(CELL, SPECIES, **{**UNET, "table": 2, **settings})


def fitted(net, fractional):
    net.fit([net.in_image(fractional)])
    return net


@pytest.mark.parametrize("table", [2, 3])
@pytest.mark.parametrize("order", ["file", "sites"])
def test_frames_are_read_as_they_were_written(table, order):
    fractional = torch.rand(7, 6, 3, generator=torch.Generator().manual_seed(0))
    net = fitted(model(table=table, order=order), fractional)
    images = net.encode(net.in_image(fractional))
    assert images.shape == (7, 6, 3, table, table)
    places, right = net.decode(images)
    assert right.all()
    torch.testing.assert_close(net.from_image(places), fractional, rtol=0, atol=1e-6)


def test_a_frame_holds_the_coordinates_of_its_atom_at_the_place_of_its_element():
    fractional = torch.rand(3, 6, 3, generator=torch.Generator().manual_seed(0))
    net = fitted(model(), fractional)
    images = net.encode(net.in_image(fractional))
    elements = list(net.template.counts)
    least, largest = fractional.amin(dim=(0, 1)), fractional.amax(dim=(0, 1))
    for atom, symbol in enumerate(SPECIES):
        scaled = (fractional[:, list(net.grouping).index(atom)] - least) / (largest - least)
        for place in range(4):
            found = images[:, atom].flatten(-2)[..., place]
            own = place < 3 and elements[place] == symbol
            torch.testing.assert_close(found, scaled if own else torch.full((3, 3), -1.0))


@pytest.mark.parametrize(("value", "right"), [(-1.0, True), (-0.6, True), (-0.4, False), (0.0, False), (1.0, False)])
def test_another_element_in_the_place_of_an_atom(value, right):
    """An entry is empty if any of its three numbers rounds to -1."""
    net = model()
    images = net.encode(torch.rand(2, 6, 3, generator=torch.Generator().manual_seed(0)))
    images[1, 3, :, 1, 1] = torch.tensor([0.7, 0.2, value])
    places, found = net.decode(images)
    assert found.tolist() == [True, right]
    torch.testing.assert_close(places, net.decode(net.encode(places))[0])


def test_more_elements_than_the_table_has_places_are_refused():
    with pytest.raises(CryinGANError, match=r"model\.table=1: it has 1 places for 3 elements"):
        model(table=1)


def planted(net, monkeypatch, wrong):
    """Have structures come without a network; those of which `wrong` says so have another element."""
    drawn = []

    def candidates(sources, **_):
        numbers = torch.stack([torch.rand(6, 3, generator=source) for source in sources])
        drawn.append(len(sources))
        return numbers, torch.tensor([not wrong(one) for one in numbers])

    monkeypatch.setattr(net, "candidates", candidates)
    return drawn


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_refused_candidates_are_counted_and_replaced(batch_size, monkeypatch):
    net = model()
    drawn = planted(net, monkeypatch, lambda one: one[0, 0] < 0.5)
    samples = net.sample(50, seed=1, batch_size=batch_size)
    assert len(samples) == 50
    assert (samples.fractional[:, 0, 0] >= 0.5).all()
    assert net.rejected == {"candidates": sum(drawn) - 50, "kept": 0}
    assert 25 < net.rejected["candidates"] < 90
    first = net.sample(7, seed=1, batch_size=batch_size)
    np.testing.assert_array_equal(first.fractional, samples.fractional[:7])


def test_what_is_refused_ten_times_is_kept_and_said(monkeypatch, caplog):
    net = model()
    planted(net, monkeypatch, lambda one: True)
    assert len(net.sample(3, seed=1)) == 3
    assert net.rejected == {"candidates": 3 * ATTEMPTS, "kept": 3}
    assert "3 of 3 samples had atoms of another element" in caplog.text


def test_each_way_to_treat_other_elements():
    net = model(elements="strict", steps=3)
    sources = [torch.Generator().manual_seed(seed) for seed in range(20)]
    with torch.no_grad():
        _, right = net.candidates(sources)
        assert not right.any(), "an untrained network has noise everywhere"
        for elements in ("read", "fixed"):
            assert net.candidates(sources, elements=elements)[1].all()
    images = []
    net.decode = lambda image: images.append(image) or UniMat.decode(net, image)
    with torch.no_grad():
        net.candidates(sources, elements="fixed", steps=50)
    assert images[0].movedim(2, -1)[:, ~net.own.view(6, 2, 2)].mean().item() == pytest.approx(-1, abs=0.02)


def test_a_random_order_leaves_species_together():
    net = model(order="random")
    fractional = torch.rand(200, 6, 3, generator=torch.Generator().manual_seed(0))
    moved = net.in_image(fractional, torch.Generator().manual_seed(1))
    plain = net.in_image(fractional)
    for symbol in ("Li", "Cl", "O"):
        atoms = [k for k, one in enumerate(SPECIES) if one == symbol]
        assert moved[:, atoms].sort(dim=1).values.equal(plain[:, atoms].sort(dim=1).values)
        stayed = (moved[:, atoms[0]] == plain[:, atoms[0]]).all(dim=1).float().mean().item()
        assert stayed == pytest.approx(1 / len(atoms), abs=0.12)


def test_one_structure_is_learned():
    """Nothing hides its place, so that the loss falls towards 0."""
    net = UniMat(CELL, SPECIES[:3], **{**WIDE, "blocks": [0]}, table=2)
    assert trained(fitted(net, STRUCTURE[:, :3]), STRUCTURE[:, :3], steps=70, rate=0.01, structures=8) < 0.2


@pytest.mark.slow
def test_one_structure_is_sampled():
    net = fitted(UniMat(CELL, SPECIES[:4], **WIDE, table=2, elements="strict"), STRUCTURE)
    assert trained(net, STRUCTURE, steps=2000, rate=0.01) < 0.02
    samples = net.sample(16, seed=1).fractional[:, net.grouping] - STRUCTURE.numpy()
    assert net.rejected == {"candidates": 0, "kept": 0}
    apart = np.linalg.norm((samples - np.rint(samples)) @ np.array(CELL), axis=-1)
    assert np.sqrt((apart**2).mean()) < 0.2


@pytest.mark.slow
def test_a_random_order_is_not_learned():
    """The paper's Fig. S20, on five atoms of an element; samples are compared whatever the order of their atoms."""
    structure = torch.cat([STRUCTURE, torch.tensor([[[0.1, 0.6, 0.5]]])], dim=1)
    known, apart = Crystals(structure.double().numpy(), CELL, ["Li"] * 5), {}
    for order in ("file", "random"):
        net = UniMat(CELL, ["Li"] * 5, **WIDE, table=2, elements="read", order=order)
        trained(fitted(net, structure), structure, steps=400, rate=0.01)
        apart[order] = np.median(matched_distances(net.sample(32, seed=1), known))
    assert apart["random"] > 3 * apart["file"]


def test_the_manifest_counts_what_was_refused(tmp_path, capsys):
    path = checkpoint_of(model(elements="strict", steps=2), tmp_path / "last.ckpt")
    sample(compose(f"checkpoint={path}", "n=2", f"output={tmp_path / 'samples'}", "device=cpu"))
    manifest = json.loads((tmp_path / "samples/manifest.json").read_text())
    assert manifest["rejected"] == {"candidates": 2 * ATTEMPTS, "kept": 2}
    assert "20 candidates had atoms of another element; 18 were refused and 2 kept" in capsys.readouterr().out


def test_sites_order_atoms_and_take_their_nearest_images(tmp_path):
    from cryingan.structures.files import write_structures
    from data.module import StructureData
    from tests.support.models import quiet_trainer

    random = np.random.default_rng(0)
    sites = np.array(
        [[0.0, 0.1, 0.2], [0.5, 0.5, 0.0], [0.4, 0.0, 0.7], [0.0, 0.5, 0.5], [0.8, 0.8, 0.3], [0.2, 0.7, 0.8]]
    )
    fractional = (sites + random.normal(scale=0.01, size=(20, 6, 3))) % 1.0
    for structure in fractional:  # Li atoms in any order
        structure[[0, 2, 4]] = structure[random.permutation([0, 2, 4])]
    write_structures(Crystals(fractional, CELL, SPECIES), tmp_path / "set.extxyz")
    net = model(order="sites")
    quiet_trainer().fit(net, datamodule=StructureData(tmp_path / "set.extxyz", validation=0.2, batch_size=4))
    module = net.trainer.datamodule
    places = net.in_image(module.tensors["training"])
    assert places.std(dim=0).max() < 0.03, "no atom jumps, and each keeps its site"
    apart = places.mean(dim=0)[[1, 3, 5]] - torch.tensor(sites, dtype=torch.float32)[[1, 3, 5]]
    assert (apart - apart.round()).abs().max() < 0.02
    assert net.fitted
