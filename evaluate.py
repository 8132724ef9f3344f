"""Score structures: `python evaluate.py benchmark=interface structures=FILE reference=FILE`; `--help` lists every key.

`python evaluate.py compare=[DIR,DIR]` puts evaluations in one table, `python evaluate.py report=DIR` runs on one page.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.entry import run
from configs.job import given
from configs.schema import plain
from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> Path:
    """Score structures, compare evaluations or report runs, and return the folder of the results, or the page.

    Raises:
        CryinGANError: a setting or a file cannot be used.
    """
    settings = plain(config)
    if settings["report"] is not None:
        return write_report(settings)
    return write_table(settings) if settings["compare"] else score(settings)


def require_alone(key: str) -> None:
    """Refuse keys of the command line that a report or a comparison does not take.

    Raises:
        CryinGANError: names them.
    """
    if others := [name for name in given() if name not in (key, "output")]:
        raise CryinGANError(f"{key} takes no other key than output; leave out {', '.join(others)}")


def score(settings: dict[str, Any]) -> Path:
    """Score structures against a reference and return the folder of the results."""
    from cryingan.evaluation.evaluate import evaluate
    from cryingan.evaluation.report import METRICS, summary_lines
    from cryingan.evaluation.settings import BENCHMARKS
    from data.rivals import random_beside

    for key, example in (("benchmark", " | ".join(BENCHMARKS)), ("structures", "FILE"), ("reference", "FILE")):
        if settings[key] is None:
            raise CryinGANError(f"give {key}={example}; python evaluate.py --help explains every key")
    keys = ("structures", "reference", "types", "original", "output", "processes")
    benchmark, beside = settings["benchmark"], random_beside(settings["reference"], settings["types"])
    given = {key: settings[key] for key in keys}
    evaluation = evaluate(benchmark=benchmark.pop("kind"), beside=beside, **given, **benchmark)
    output = Path(settings["output"])
    print("\n".join(summary_lines(evaluation)))
    print(output / METRICS)
    if settings["wandb"] is not None:
        from callbacks.wandb_evaluation import upload_to_new_run

        upload_to_new_run(output, settings["wandb"])
    return output


def write_table(settings: dict[str, Any]) -> Path:
    """Put evaluations in one table and return its folder."""
    from cryingan.evaluation.comparison import TABLE, compare, markdown, write_comparison

    require_alone("compare")
    comparison = compare(settings["compare"])
    folder = write_comparison(comparison, settings["output"])
    print(markdown(comparison), end="")
    print(folder / TABLE)
    return folder


def write_report(settings: dict[str, Any]) -> Path:
    """Put the runs of a folder on one page and return its path."""
    from cryingan.report.report import report

    if settings["compare"]:
        raise CryinGANError("give report=DIR or compare=[DIR,DIR], not both")
    require_alone("report")
    page = report(settings["report"], settings["output"] if "output" in given() else None)
    print(page)
    return page


if __name__ == "__main__":
    run("evaluate", main)
