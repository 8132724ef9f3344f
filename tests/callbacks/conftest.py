import pytest

from tests.conftest import TINY, compose
from tests.support.relaxed_runs import RELAX
from train import train


@pytest.fixture(scope="session")
def whole(structures_file, tmp_path_factory):
    """Run folders of the same training without relaxation, with it inline and in the background."""
    folder = tmp_path_factory.mktemp("whole")
    common = (f"data.path={structures_file}", "logger=csv", *TINY, "callbacks.milestones.every_n_epochs=1")
    train(compose(*common, f"run_dir={folder / 'off'}"))
    for mode in ("inline", "background"):
        train(compose(*common, f"run_dir={folder / mode}", *RELAX, f"callbacks.relax.mode={mode}"))
    return folder
