import sys

import pytest
import torch

from benchmarks.command import at_least, device, new_parser, output, parse_with_overrides, positive, weight


@pytest.mark.parametrize(
    ("kind", "good", "bad", "said"),
    [
        (positive, ["1", "7"], ["0", "-1"], "less than 1"),
        (positive, [], ["x", "1.5"], "invalid int value"),
        (at_least(10), ["10"], ["9"], "9 is less than 10"),
        (weight, ["0", "0.05"], ["-0.1", "nan"], "is less than 0"),
        (device, ["cpu"], ["gpu", "x"], "no device of torch"),
        (output, ["a.csv"], ["nowhere/a.csv"], "nowhere is not there"),
    ],
)
def test_values_are_checked_before_anything_is_measured(kind, good, bad, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    parser = new_parser("text")
    parser.add_argument("--key", type=kind)
    for text in good:
        assert str(parser.parse_args(["--key", text]).key) in (text, f"{float(text)}" if kind is weight else text)
    for text in bad:
        with pytest.raises(SystemExit):
            parser.parse_args([f"--key={text}"])
        assert said in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(capsys):
    parser = new_parser("text")
    parser.add_argument("--device", type=device)
    with pytest.raises(SystemExit):
        parser.parse_args(["--device", "cuda"])
    assert "there is no CUDA GPU" in capsys.readouterr().err


def test_overrides_stand_anywhere(tmp_path, monkeypatch):
    (tmp_path / "run=1").mkdir()
    monkeypatch.chdir(tmp_path)
    parser = new_parser("text")
    parser.add_argument("--many", nargs="+", type=int)
    parser.add_argument("runs", nargs="*")
    words = ["run=1", "a.b=[1,2]", "--many", "2", "4", "trainer.capture=true", "~callbacks.summary", "+callbacks.x=1"]
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    arguments = parse_with_overrides(parser)
    assert (arguments.many, arguments.runs) == ([2, 4], ["run=1"])
    assert arguments.overrides == ["a.b=[1,2]", "trainer.capture=true", "~callbacks.summary", "+callbacks.x=1"]
