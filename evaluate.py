"""Score structures: `python evaluate.py benchmark=interface structures=FILE reference=FILE`; `--help` lists every key.

`python evaluate.py compare=[DIR,DIR]` puts evaluations in one table.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.entry import run
from configs.schema import evaluate_schema, plain
from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def evaluate(config: DictConfig) -> Path:
    """Score structures, or compare evaluations, as the config says; the folder with the results comes back.

    Raises:
        CryinGANError: a setting or a file cannot be used.
    """
    from cryingan.evaluation.evaluate import evaluate
    from cryingan.evaluation.report import METRICS, in_words

    settings = plain(config)
    output = Path(settings["output"])
    if settings["compare"]:
        return compare(settings)
    for key in ("benchmark", "structures", "reference"):
        if settings[key] is None:
            example = "interface" if key == "benchmark" else "FILE"
            raise CryinGANError(f"give {key}={example}; python evaluate.py --help explains every key")
    keys = ("structures", "reference", "original", "output", "processes")
    evaluation = evaluate(
        **{key: settings[key] for key in keys}, benchmark=settings["benchmark"].pop("kind"), **settings["benchmark"]
    )
    print("\n".join(in_words(evaluation)))
    print(output / METRICS)
    if settings["wandb"] is not None:
        from callbacks.wandb_evaluation import upload_to_new_run

        upload_to_new_run(output, settings["wandb"])
    return output


def compare(settings: dict[str, Any]) -> Path:
    """Put evaluations in one table; the folder comes back."""
    from cryingan.evaluation.comparison import TABLE, compare, markdown, write_comparison

    comparison = compare(settings["compare"])
    folder = write_comparison(comparison, settings["output"])
    print(markdown(comparison), end="")
    print(folder / TABLE)
    return folder


if __name__ == "__main__":
    run("evaluate", evaluate_schema, evaluate)
