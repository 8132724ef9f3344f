"""What an offline run of W&B holds."""

import json
import subprocess
import sys


def inspect(run_folder, *options):
    """What `wandb leet inspect` prints of a run."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", *options, str(run_folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def records(run_folder, kind):
    """What a run has recorded of one kind, such as `alert` or `artifact`."""
    found = map(json.loads, inspect(run_folder, "--json").splitlines())
    return [record[kind] for record in found if kind in record]


def last_values(report):
    """The last value of every metric in a summary, which has the best one, too, where that is clear."""
    return {
        key: value["last"] if isinstance(value, dict) and "last" in value else value for key, value in report.items()
    }
