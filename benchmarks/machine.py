"""The machine and the version that figures are of: `python -m benchmarks.machine [--output FILE.csv]`."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import torch

from benchmarks import command
from benchmarks.tables import write_table
from cryingan.storage.atomic import ROOT


def processor() -> str:
    """Name, family and model of the first processor, as /proc/cpuinfo has them (Linux)."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    found = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", path.read_text(), re.MULTILINE))
    return f"{found.get('model name')}, family {found.get('cpu family')}, model {found.get('model')}"


def machine() -> dict[str, object]:
    """What a table of figures has to name."""
    driver = said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader") or "none"
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA GPU",
        "driver": driver.splitlines()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "none",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "commit": said("git", "-C", str(ROOT), "describe", "--always", "--dirty") or "unknown",
    }


def said(program: str, *words: str) -> str:
    """What a program prints; nothing if it is not there or fails."""
    if shutil.which(program) is None:
        return ""
    return subprocess.run([program, *words], capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    """Print, and write the row."""
    parser = command.new_parser(__doc__)
    parser.add_argument("--output", type=command.output, help="CSV to write")
    arguments = parser.parse_args()
    found = machine()
    for name, value in found.items():
        print(f"{name}: {value}")
    if arguments.output:
        write_table(arguments.output, [found])


if __name__ == "__main__":
    main()
