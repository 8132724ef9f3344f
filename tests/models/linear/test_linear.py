"""The linear model: mean and covariance of its samples, its components, where it means nothing."""

import numpy as np
import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.models.linear.components import Components
from cryingan.models.linear.linear import Linear
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import matched_to

CELL = np.array([[8.0, 0, 0], [1.0, 9.0, 0], [0, 0.5, 10.0]])
SPECIES = ("Li", "Cl", "Li", "O")
PLACES = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]])


def structures(number=400, rank=2, seed=0):
    """Structures that scatter along `rank` directions about known sites, numbered at random within their species."""
    random = np.random.default_rng(seed)
    modes = (
        np.linalg.qr(random.normal(size=(12, rank)))[0].T.reshape(rank, 4, 3)
        * np.linspace(0.8, 0.4, rank)[:, None, None]
    )
    codes = random.normal(size=(number, rank))
    fractional = PLACES + np.einsum("sc,cai->sai", codes, modes) @ np.linalg.inv(CELL)
    for structure in fractional[::2]:
        structure[[0, 2]] = structure[[2, 0]]
    return Crystals(fractional, CELL, SPECIES), modes


def fitted(components=5, **settings):
    crystals, modes = structures()
    model = Linear(CELL.tolist(), list(SPECIES), components=components, **settings)
    model.components.fit(crystals.reordered(crystals.grouping), components)
    return model, crystals, modes


def covariance(crystals):
    sites = Crystals(PLACES[None], CELL, SPECIES)
    apart = matched_to(sites, crystals).fractional - PLACES
    flat = ((apart - np.rint(apart)) @ CELL).reshape(len(crystals), -1)
    return np.cov(flat.T), flat.mean(axis=0)


def test_samples_have_mean_and_covariance_of_the_structures():
    model, crystals, _ = fitted()
    samples = model.sample(4000, seed=1)
    assert samples.species == SPECIES
    (expected, mean), (found, sampled_mean) = covariance(crystals), covariance(samples)
    assert found == pytest.approx(expected, abs=0.03)
    assert sampled_mean == pytest.approx(mean, abs=0.05)


@pytest.mark.parametrize(("number", "kept"), [(5, 4), (400, 12)])
def test_no_more_components_than_there_are(number, kept):
    """One less than there are structures, and three for each atom."""
    crystals, _ = structures(number)
    model = Linear(CELL.tolist(), list(SPECIES), components=50)
    model.components.fit(crystals.reordered(crystals.grouping), 50)
    assert model.components.codes.shape == (number, kept)
    assert len(model.sample(2, seed=1)) == 2


def test_components_span_the_directions_of_the_set():
    model, _, modes = fitted()
    found = model.components.modes.numpy().reshape(5, -1)
    grouped = modes[:, [2, 0, 1, 3]].reshape(2, -1)  # the first structure is one with exchanged Li
    inside = grouped @ np.linalg.pinv(found[:2]) @ found[:2]
    assert inside == pytest.approx(grouped, abs=0.02)
    assert np.abs(found[2:]).max() < 1e-6


def test_codes_are_white_and_decode_to_the_structures():
    model, crystals, _ = fitted()
    codes = model.components.codes[:, :2]
    assert codes.mean(dim=0).tolist() == pytest.approx([0, 0], abs=1e-9)
    assert (codes.T @ codes / len(codes)).numpy() == pytest.approx(np.eye(2), abs=1e-9)
    decoded = model.components.decode(model.components.codes, torch.from_numpy(CELL)).numpy()
    again = Crystals(decoded, CELL, ("Li", "Li", "Cl", "O"))
    one, other = (matched_to(Crystals(PLACES[None], CELL, SPECIES), x) for x in (again, crystals))
    assert one.same_as(other)


def test_smoothed_structures_are_near_training_structures():
    normal, smoothed = fitted()[0], fitted(noise=0.1)[0]
    codes = normal.components.codes
    sources = [torch.Generator().manual_seed(i) for i in range(200)]
    near = torch.stack([smoothed.components.draw(source, 0.1) for source in sources])
    assert torch.cdist(near, codes).min(dim=1).values.mean() < 0.4
    assert near.std(dim=0)[:2].tolist() == pytest.approx([1, 1], abs=0.15)


def test_samples_do_not_depend_on_their_number():
    model = fitted()[0]
    assert model.sample(3, seed=5).same_as(model.sample(9, seed=5, batch_size=2)[:3])


def test_state_is_loaded_whatever_its_shape():
    model = fitted()[0]
    again = Linear(CELL.tolist(), list(SPECIES), components=5)
    again.load_state_dict(model.state_dict())
    assert again.sample(4, seed=1).same_as(model.sample(4, seed=1))


def test_few_structures_have_fewer_components():
    few, _ = structures(3)
    components = Components()
    components.fit(few, 24)
    assert components.codes.shape == (3, 2)


def test_sets_without_common_sites_are_refused():
    random = Crystals(np.random.default_rng(0).random((50, 4, 3)), CELL, SPECIES)
    with pytest.raises(CryinGANError, match=r"share most of their sites.*in a glass or where vacancies move"):
        Components().fit(random, 3)


def test_untrained_and_out_of_range():
    with pytest.raises(CryinGANError, match="not fitted yet"):
        Linear(CELL.tolist(), list(SPECIES)).sample(1, seed=1)
    for wrong in ({"components": 0}, {"noise": 0.0}, {"noise": 1.5}, {"seed": -1}):
        with pytest.raises(CryinGANError, match=next(iter(wrong))):
            Linear(CELL.tolist(), list(SPECIES), **wrong)
