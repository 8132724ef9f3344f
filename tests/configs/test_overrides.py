"""Text on the command line is taken as it is, and mistakes of form are answered by a line that works when copied."""

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from configs.entry import compose
from configs.overrides import for_hydra, literal, parts, translated
from configs.schema import plain
from cryingan.errors import CryinGANError
from tests.conftest import TINY
from tests.support.paths import ROOT

NAMES = [
    *(
        "My Drive (2)",
        "T=300K",
        "Li₂O",
        "it's",
        'say "x"',
        "a,b",
        "[1]",
        "{x: 1}",
        "#1",
        "50%",
        "$HOME",
        "back\\slash\\",
    ),
    *("cafe\N{COMBINING ACUTE ACCENT}", "-lead", "x" * 240, "1e5", "007", "true", "a::b", "*?", " x ", "a:b", "C:\\x"),
    *("choice(a,b)", "a\\'b", "\udce9", "x;y&z|w<>", "~~", "@1", "!x", "\N{LEFT DOUBLE QUOTATION MARK}x"),
]
KEYS = [
    *(("train", key) for key in ("data.path", "data.card", "run_dir", "resume", "potential.path")),
    *(("sample", key) for key in ("checkpoint", "upstream", "structures", "reference", "output", "training", "cache")),
    *(("evaluate", key) for key in ("structures", "reference", "output", "wandb")),
]


def value_of(name, key, text, *more):
    node = plain(compose(name, f"{key}={text}", *more))
    for part in key.split("."):
        node = node[part]
    return node


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_every_text_is_taken_as_it_is(name, key):
    more = ["potential=m3gnet"] if key.startswith("potential") else []
    parser = OverridesParser.create()
    for text in NAMES[:6]:
        assert parser.parse_override(for_hydra(name, f"{key}={text}/set.xyz")).value() == f"{text}/set.xyz"
    for text in NAMES if key == "data.path" else NAMES[:1]:  # composing takes longer
        assert value_of(name, key, f"{text}/set.xyz", *more) == f"{text}/set.xyz"


def test_random_texts_are_taken_as_they_are():
    random, parser = np.random.default_rng(0), OverridesParser.create()
    alphabet = list("ab/.\\'\"$%#@!~,=()[]{}:; \t|&*?-+\N{GREEK SMALL LETTER MU}")
    for _ in range(100):
        text = f"x{''.join(random.choice(alphabet, 8))}x"
        assert parser.parse_override(for_hydra("evaluate", f"output={text}")).value() == text


def test_the_home_folder_is_expanded_wherever_a_path_stands():
    home = str(Path.home())
    assert value_of("train", "data.path", "~/a (1).xyz") == f"{home}/a (1).xyz"
    assert value_of("evaluate", "compare", "[~/a (1),B:~/b]") == [f"{home}/a (1)", f"B:{home}/b"]
    assert value_of("train", "run_dir", "~/runs/${seed}") == f"{home}/runs/1"
    assert plain(compose("train", "run_dir=~/runs"))["callbacks"]["summary"]["run_dir"] == f"{home}/runs"
    assert value_of("train", "data.path", "~nobody-of-this-name/x") == "~nobody-of-this-name/x"


def test_what_has_a_meaning_keeps_it_unless_a_file_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert value_of("train", "data.path", '"T=300K.xyz"') == "T=300K.xyz"
    assert value_of("train", "data.card", "null") is None
    Path('"T=300K.xyz"').touch()
    assert value_of("train", "data.path", '"T=300K.xyz"') == '"T=300K.xyz"'
    Path("a${seed}.xyz").touch()
    with pytest.raises(CryinGANError, match="rename the file"):
        literal("a${seed}.xyz")


def test_a_sweep_splits_at_commas_but_not_within_a_files_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert translated("train", ["-m", "data.path=a (1),b=2"])[1] == "data.path='a (1)','b=2'"
    assert translated("train", ["-m", "data.path=choice(a,b)"])[1] == "data.path=choice(a,b)"
    Path("a (1),b=2").touch()
    assert translated("train", ["-m", "data.path=a (1),b=2"])[1] == "data.path='a (1),b=2'"
    assert parts("'a,b', c,it's,d's") == ["'a,b'", "c", "it's", "d's"]


def in_shell(script, arguments, folder):
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / script))} {arguments}"
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=300)


def test_a_shell_trains_on_a_file_of_any_name_and_the_hint_works_when_copied(tmp_path, structures_file):
    folder = tmp_path / "My Drive (2) T=300K it's #1"
    folder.mkdir()
    (folder / "set [1].extxyz").write_bytes(structures_file.read_bytes())
    typed = shlex.join([f"data.path={folder.name}/set [1].extxyz", "run_dir=runs (1)", "logger=csv", *TINY])
    assert in_shell("train.py", typed, tmp_path).returncode == 0
    assert (tmp_path / "runs (1)/checkpoints/last.ckpt").exists()
    cut = in_shell("sample.py", "'runs (1)' n=1", tmp_path)
    hint = cut.stderr.partition("write ")[2].strip()
    assert hint == "'checkpoint=runs (1)'"
    assert translated("sample", shlex.split(hint)) == ["checkpoint='runs (1)'"]
