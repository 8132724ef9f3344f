import pytest

from cryingan.report.report import report
from tests.support.run_folders import write_sweep


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    """The folder of a sweep with its report, and what was written into its runs."""
    folder = tmp_path_factory.mktemp("sweep")
    values = write_sweep(folder)
    report(folder)
    return folder, values
