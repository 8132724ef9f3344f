import pytest

from cryingan.potentials.potential import load_potential


@pytest.fixture
def pair():
    return load_potential("pair")
