import pytest


@pytest.fixture
def undrawn(monkeypatch):
    """Figures take most of the time; most tests look at numbers."""
    monkeypatch.setattr("cryingan.plots.style.save_figure", lambda *arguments, **settings: None)
