"""The call: its arguments, its progress."""

import sys

import pytest

from cryingan.errors import CryinGANError
from cryingan.relaxation.relax import relax
from cryingan.relaxation.settings import RelaxSettings
from tests.support.relaxations import here, quietly, rattled


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "slurm"}, "unknown backend 'slurm'"),
        ({"backend": "ray"}, "unknown backend 'ray': use loky, dask, serial"),  # which settings of 0.1.0 may have
        ({"numbers": [1, 1]}, "different sample numbers"),
        ({"numbers": [1]}, "different sample numbers"),
        ({"output": __file__}, "cannot be made"),
    ],
)
def test_wrong_arguments_end_in_one_line(pair, arguments, message):
    with pytest.raises(CryinGANError, match=message) as caught:
        quietly(rattled(2), pair, **{"backend": "serial", **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_goes_to_stderr(pair, capsys, monkeypatch, terminal):
    monkeypatch.setenv("FORCE_COLOR", "1" if terminal else "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    results = relax(rattled(3), pair, RelaxSettings(backend="serial"))
    assert len(results) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("relaxed 3 of 3, 0 s left" in captured.err) is not terminal
    assert ("3/3" in captured.err or "100%" in captured.err) is terminal


def test_no_structures(pair, tmp_path):
    assert len(here(rattled(1)[:0], pair, output=tmp_path)) == 0
