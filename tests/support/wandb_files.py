"""What an offline run of W&B holds."""

import subprocess
import sys
from pathlib import Path


def inspect(run_folder, *options):
    """What `wandb leet inspect` prints of a run."""
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", *options, str(run_folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
