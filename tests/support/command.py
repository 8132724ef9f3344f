"""The scripts as users call them, and the keys of their configs.

A script runs in a copy of a process that has imported what scripts import, since imports take most of a short run. What
it prints and returns is what it is when started anew.
"""

import gc
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from functools import cache
from importlib import import_module
from pathlib import Path

from hydra.core.plugins import Plugins

from tests.support.paths import ROOT

SECONDS = 300
IMPORTED = (
    "configs.models",
    "configs.run_folder",
    "configs.trainer",
    "cryingan.evaluation.benchmarks.interface",
    "cryingan.evaluation.evaluate",
    "cryingan.potentials.m3gnet.potential",
    "cryingan.samples.relaxer",
    "cryingan.training.together",
    "cryingan.training.checkpoints",
    "data.module",
    "hydra.main",
    "lightning.pytorch",
    "wandb",
)


def call(script, *arguments, cwd=ROOT, **settings):
    """What a script of the repository returned and printed; with settings of `subprocess.run` it is started anew."""
    command = [str(ROOT / script), *arguments]
    if settings:
        given = {"cwd": cwd, "timeout": SECONDS, **settings}
        return subprocess.run([sys.executable, *command], capture_output=True, text=True, **given)
    with tempfile.TemporaryDirectory() as folder:
        printed = [Path(folder, name) for name in ("stdout", "stderr")]
        server = _server()
        limit = threading.Timer(SECONDS, server.kill)
        limit.start()
        request = [command[0], arguments, str(cwd), dict(os.environ), *map(str, printed)]
        print(json.dumps(request), file=server.stdin, flush=True)
        code = server.stdout.readline()
        limit.cancel()
        if not code:
            _server.cache_clear()
            raise AssertionError(f"{script} {' '.join(arguments)} did not end within {SECONDS} s")
        return subprocess.CompletedProcess(command, int(code), *(path.read_text() for path in printed))


def leaves(node, path=()):
    """The path of every key of a config that holds a value."""
    if isinstance(node, dict):
        return [leaf for key, value in node.items() if key != "defaults" for leaf in leaves(value, (*path, key))]
    return [path]


@cache
def _server():
    command = [sys.executable, "-m", "tests.support.command"]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _serve():
    """Wait for requests; each is returned in a copy of this process, the exit code of the copy is printed."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def _become(script, arguments, folder, environment, *printed):
    """Go on as `python script arguments`, ended by the interpreter as any program."""
    from wandb.sdk.data_types._private import MEDIA_TMP

    for number, path in enumerate((os.devnull, *printed)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    sys.stdin = open(0)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # what TMPDIR says is read anew
    Path(MEDIA_TMP.name).mkdir(exist_ok=True)  # W&B's, which every copy removes as it ends
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    for module in IMPORTED:
        import_module(module)
    Plugins.instance()  # Hydra has looked for its plugins
    gc.freeze()  # a copy that ends does not walk what was imported, which would copy its memory, too
    if (request := _serve()) is not None:
        _become(*request)
