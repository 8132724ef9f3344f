import re
import sys
from types import SimpleNamespace

import pytest

from callbacks.progress import _shown
from train import train


def test_one_plain_line_per_epoch_where_the_output_is_no_terminal(tiny, capsys):
    train(tiny("trainer.max_epochs=2"))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    pattern = r"epoch {}/2: score difference -?\d\S+, \S+ steps/s, \d:\d\d:\d\d left"
    assert all(re.fullmatch(pattern.format(n), line) for n, line in zip((1, 2), lines, strict=True))


def test_fewer_lines_when_asked(tiny, capsys):
    train(tiny("trainer.max_epochs=4", "callbacks.progress.every_n_epochs=3"))
    lines = [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert lines == ["epoch 3/4", "epoch 4/4"]


def test_a_bar_in_a_terminal(tiny, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    train(tiny("trainer.max_epochs=2"))
    out = capsys.readouterr().out
    assert "2/2" in out
    assert "━" in out
    assert "steps/s" in out


def test_a_resumed_run_says_where_it_resumes(tiny, capsys):
    train(tiny("trainer.max_epochs=1"))
    train(tiny("trainer.max_epochs=2"))
    assert "resuming after epoch 1\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("of_loggers", "of_callbacks", "shown"),
    [
        ({}, {"train/score_difference": 0.5, "train/critic_loss": 1}, "score difference 0.5, "),
        ({"train/loss": 0.25}, {"samples/close_pairs": 1}, "loss 0.25, "),  # as `self.log("train/loss", loss)` logs
        ({"train_loss_step": 3}, {"val/loss": 1}, "train_loss_step 3, "),
        ({}, {"val/loss": 1, "samples/close_pairs": 2}, ""),
    ],
)
def test_what_a_model_logs_is_shown_or_nothing(of_loggers, of_callbacks, shown):
    assert _shown([SimpleNamespace(logged_metrics=of_loggers, callback_metrics=of_callbacks)]) == shown
