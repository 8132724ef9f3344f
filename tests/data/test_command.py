from dataclasses import dataclass

import pytest

from cryingan.errors import CryinGANError
from data.command import run_command


@dataclass
class Settings:
    path: str
    n: int = 3


def run(monkeypatch, job, *arguments):
    monkeypatch.setattr("sys.argv", ["command", *arguments])
    run_command(job, Settings)


def test_settings_reach_the_job_and_its_result_is_printed(monkeypatch, capsys):
    run(monkeypatch, lambda settings: (settings.path, settings.n), "path=x y", "n=7")
    assert capsys.readouterr().out == "('x y', 7)\n"


def test_an_error_ends_in_one_line(monkeypatch):
    def job(settings):
        raise CryinGANError(f"{settings.path} is not there")

    with pytest.raises(SystemExit, match=r"^x is not there$"):
        run(monkeypatch, job, "path=x")


def test_ctrl_c_ends_in_one_line(monkeypatch, capsys):
    def job(_):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, job, "path=x")
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "stopped; the same command goes on\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["path=x", "m=3"], "'m' not in"),
        (["path=x", "n=three"], "three"),
        (["path=[[0.1,4"], "the keys are path, n"),
        (["path"], "'path' is not key=value; the keys are path, n"),
        ([], "path"),
    ],
)
def test_what_it_says_of_arguments_that_cannot_be_used(monkeypatch, arguments, message):
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, print, *arguments)
