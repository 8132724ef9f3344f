from __future__ import annotations

import pytest
import torch

from benchmarks.reference_cycle import ReferenceGenerator
from cryingan.errors import CryinGANError
from cryingan.models.cryingan.upstream import generator_from_upstream

FLOAT64 = 1e-12


def reference_generator() -> ReferenceGenerator:
    """Trained a little, so that its BatchNorm statistics are not the initial ones."""
    network = ReferenceGenerator(n_atoms=6, latent_dim=8, channels=10, widths=(12, 14, 16)).double()
    for _ in range(3):
        network(torch.randn(4, 8, dtype=torch.float64))
    return network.eval()


@pytest.mark.parametrize("last", ["map4.0", "map4"])
def test_upstream_generator_makes_the_same_structures(last: str) -> None:
    reference = reference_generator()
    state = {key.replace("map4.0", last): value for key, value in reference.state_dict().items()}
    ours = generator_from_upstream(state).eval()
    noise = torch.randn(5, 8, dtype=torch.float64)
    assert (ours.n_atoms, ours.latent_dim, ours.channels, ours.widths) == (6, 8, 10, (12, 14, 16))
    torch.testing.assert_close(ours(noise), reference(noise), rtol=0, atol=FLOAT64)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("l1.0.weight", None),
        ("l1.0.bias", None),
        ("map1.0.weight", None),
        ("map2.1.running_var", None),
        ("map4.0.bias", None),
        ("map5.0.weight", torch.zeros(1)),
        ("model.0.weight", torch.zeros(512, 1, 1, 3)),
        ("l1.0.weight", torch.zeros(61, 8)),
        ("map1.0.weight", torch.zeros(10, 12, 1, 1)),
        ("map3.0.weight", torch.zeros(15, 16, 1, 1)),
        ("map2.1.bias", torch.zeros(14, 1)),
        ("map4.0.weight", "weights"),
        ("map1.0.weight", 3),
    ],
)
def test_other_state_dicts_are_refused_by_key(key: str, value: object) -> None:
    state = dict(reference_generator().state_dict())
    state.pop(key, None)
    if value is not None:
        state[key] = value
    with pytest.raises(CryinGANError) as caught:
        generator_from_upstream(state)
    assert "\n" not in str(caught.value)
    named = {"map3.0.weight": "map3.0.weight", "l1.0.weight": "l1.0."}.get(key, key)
    assert named in str(caught.value)
