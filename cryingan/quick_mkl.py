"""Have MKL take its quick path on processors that are not Intel's, before PyTorch is imported.

MKL asks its own function `mkl_serv_intel_cpu_true` who made the processor, and takes a path that is half as fast where
it was not Intel. PyTorch exports that function, so one of the same name that is loaded before it answers instead. It
says nothing about instructions: MKL asks for those apart from it. A compiler makes the library, once per environment:

    python -m cryingan.quick_mkl

prints its path. `make` does that, and the scripts load it; for other programs: LD_PRELOAD=PATH.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

from cryingan.devices import processor_vendor
from cryingan.errors import CryinGANError

SOURCE = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"
LIBRARY = Path(sys.prefix) / "lib" / "cryingan_quick_mkl.so"


def build(path: Path = LIBRARY, source: str = SOURCE) -> Path:
    """Compile the library.

    Raises:
        CryinGANError: there is no C compiler, or it fails; MKL then takes its slow path.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise CryinGANError("no C compiler (cc) is here to build a library by which MKL is quick on this processor")
    call = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
    made = subprocess.run(call, input=source, text=True, capture_output=True, check=False)
    if made.returncode:
        raise CryinGANError(f"{path} cannot be built: {made.stderr.strip().splitlines()[-1]}")
    return path


def load(path: Path = LIBRARY) -> None:
    """Load the library here and in processes that this one starts, where it has been built and the processor needs it.

    Where PyTorch has been imported already, it is too late, and nothing is done.
    """
    if not path.exists() or "torch" in sys.modules or processor_vendor() in ("", "GenuineIntel"):
        return
    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    others = [name for name in os.environ.get("LD_PRELOAD", "").split(":") if name not in ("", str(path))]
    os.environ["LD_PRELOAD"] = ":".join([str(path), *others])


if __name__ == "__main__":
    try:
        print(build())
    except CryinGANError as error:
        sys.exit(str(error))
