import subprocess
from types import SimpleNamespace

import pytest

from cryingan.samples import background
from tests.conftest import TINY, compose
from tests.support.copied_worker import Copy
from tests.support.relaxed_runs import RELAX
from train import train


@pytest.fixture
def copied_worker(monkeypatch):
    """The process that relaxes in the background is a copy of this one, for tests of what it does with folders."""
    monkeypatch.setattr(background, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": Copy}))


@pytest.fixture
def undrawn(monkeypatch):
    """Relaxed samples are not drawn, which takes longer than relaxing so few; nor by a copied worker."""
    monkeypatch.setattr("cryingan.samples.relaxer.draw", lambda *_: None)


@pytest.fixture(scope="session")
def whole(structures_file, tmp_path_factory):
    """Run folders of the same training without relaxation, with it inline and in the background."""
    folder = tmp_path_factory.mktemp("whole")
    common = (f"data.path={structures_file}", "logger=csv", *TINY, "callbacks.milestones.every_n_epochs=1")
    train(compose(*common, f"run_dir={folder / 'off'}"))
    for mode in ("inline", "background"):
        train(compose(*common, f"run_dir={folder / mode}", *RELAX, f"callbacks.relax.mode={mode}"))
    return folder
