"""Command lines of data/: settings, errors, Ctrl-C and --help."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path

import pytest

from cryingan.errors import CryinGANError
from data.command import attributes, run_command
from tests.support.paths import ROOT

COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "data").rglob("*.py")
    if path.name != "command.py" and "run_command(" in path.read_text()
)


@dataclass
class Settings:
    """What the job below is told.

    Attributes:
        path: of a file that is
            not there.
        n: how many.
    """

    path: str
    n: int = 3


def main_of(command):
    """What a module of data/ hands to `run_command`: its job and the dataclass of its settings."""
    module = import_module(command)
    [call] = [
        node
        for node in ast.walk(ast.parse((ROOT / f"{command.replace('.', '/')}.py").read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "run_command"
    ]
    return [getattr(module, ast.unparse(argument)) for argument in call.args]


def test_there_are_commands():
    assert {"data.interface.build", "data.interface.train_potential", "data.alloy.build"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_explains_every_key_of_a_command(monkeypatch, capsys, command, option):
    job, schema = main_of(command)
    monkeypatch.setattr("sys.argv", ["command", "n=3", option])
    run_command(job, schema)
    said = capsys.readouterr().out
    assert said.startswith(f"python -m {command} KEY=VALUE")
    assert sys.modules[command].__doc__.strip() in said
    meanings = dict(attributes(schema))
    assert list(meanings) == [field.name for field in fields(schema)]
    lines = said.splitlines()
    words = " ".join(said.split())
    for field in fields(schema):
        [line] = [line for line in lines if line.startswith(f"{field.name}=")]
        assert line.endswith(f"({field.type})")
        assert meanings[field.name] in words
        assert len(meanings[field.name].split()) > 1, field.name


@pytest.mark.parametrize("command", COMMANDS)
def test_a_misspelt_key_of_a_command_is_named_with_the_right_one(monkeypatch, command):
    job, schema = main_of(command)
    key = fields(schema)[-1].name
    monkeypatch.setattr("sys.argv", ["command", f"{key}s=x"])
    with pytest.raises(SystemExit, match=f"^{command}: unknown key {key}s, did you mean {key}?") as stopped:
        run_command(job, schema)
    assert "\n" not in stopped.value.code


def test_help_shows_types_and_defaults(monkeypatch, capsys):
    run(monkeypatch, print, "--help")
    *_, path, of, n, many = capsys.readouterr().out.splitlines()
    assert (path, of) == ("path=REQUIRED    (str)", "    of a file that is not there.")
    assert (n, many) == ("n=3    (int)", "    how many.")


def run(monkeypatch, job, *arguments):
    monkeypatch.setattr("sys.argv", ["command", *arguments])
    run_command(job, Settings)


def test_settings_reach_the_job_and_its_result_is_printed(monkeypatch, capsys):
    run(monkeypatch, lambda settings: (settings.path, settings.n), "path=x y", "n=7")
    assert capsys.readouterr().out == "('x y', 7)\n"


@pytest.mark.parametrize(
    "path", ["a #1.xyz", "1e5", "[2].xyz", "T=300K: x", "${x}", "it's", "%", "\\", "-x", "Li₂O", "{a"]
)
def test_a_path_is_taken_as_it_is(monkeypatch, capsys, path):
    run(monkeypatch, lambda settings: settings.path, f"path={path}")
    assert capsys.readouterr().out == f"{path}\n"


def test_the_home_folder_is_expanded(monkeypatch, capsys):
    run(monkeypatch, lambda settings: settings.path, "path=~/x")
    assert capsys.readouterr().out == f"{Path.home()}/x\n"


def test_an_error_ends_in_one_line(monkeypatch):
    def job(settings):
        raise CryinGANError(f"{settings.path} is not there")

    with pytest.raises(SystemExit, match=r"^tests\.data\.test_command: x is not there$"):
        run(monkeypatch, job, "path=x")


def test_ctrl_c_ends_in_one_line(monkeypatch, capsys):
    def job(_):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, job, "path=x")
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "tests.data.test_command: stopped; the same command resumes\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["path=x", "m=3"], "unknown key m; the keys are path, n"),
        (["path=x", "pth=3"], "unknown key pth, did you mean path?"),
        (["path=x", "n=three"], "n: .*three.*Integer"),
        (["path=x", "n=[[0.1,4"], "the keys are path, n"),
        (["path"], "'path' is not key=value; the keys are path, n"),
        ([], "path=... is missing; the keys are path, n"),
    ],
)
def test_what_it_says_of_arguments_that_cannot_be_used(monkeypatch, arguments, message):
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, print, *arguments)
