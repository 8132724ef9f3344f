"""What several tests of interfaces begin with."""

import pytest

from cryingan.potentials.m3gnet import potential as m3gnet
from data.interface import build
from data.interface.potential_training import report
from tests.support.interfaces import FRAMES, STRUCTURES, build_pair, write_system


@pytest.fixture
def system(tmp_path):
    """The file of a system of 31 atoms."""
    return write_system(tmp_path)


@pytest.fixture
def no_figures(monkeypatch):
    """Sets and potentials are written without their figures, which take most of the time where these are so small."""
    for module in (build, report):
        monkeypatch.setattr(module, "draw", lambda *_: None)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder of the relaxations of that system: six structures. To be read only; a test that writes copies it."""
    return build_pair(tmp_path_factory.mktemp("built"), STRUCTURES, FRAMES)


@pytest.fixture
def barely_trained(monkeypatch):
    """Models that have learned next to nothing can still be told from those of the other message convention."""
    monkeypatch.setattr(m3gnet, "TOLERANCE", 1e-9)
