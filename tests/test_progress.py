"""Lines of long work in a log: they count the whole, and an estimate is called one."""

import pytest

from cryingan import progress
from cryingan.progress import reported


@pytest.fixture(autouse=True)
def every_result_is_due(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)


def counts(capsys):
    return [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()]


def test_what_was_there_before_counts(capsys):
    assert list(reported("ab", 5, "relaxing", "relaxed", before=3)) == ["a", "b"]
    assert counts(capsys) == ["relaxed 4 of 5", "relaxed 5 of 5"]


def test_an_estimate_follows_the_results_and_the_last_line_is_exact(capsys):
    estimates = {"a": 2, "b": None, "c": 7}
    list(reported("abc", lambda _, one: estimates[one], "reading", "read:", before=1))
    assert counts(capsys) == ["read: 2 of about 2", "read: 3", "read: 4 of about 7", "read: 4 of 4"]


def test_a_log_has_lines_whatever_colours_are_asked_for(monkeypatch, capsys):
    """Notebooks set FORCE_COLOR, by which a bar would be drawn into their output again and again."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    list(reported("ab", 2, "relaxing", "relaxed"))
    assert counts(capsys) == ["relaxed 1 of 2", "relaxed 2 of 2"]
