"""The scripts as users call them, and the keys of their configs."""

import subprocess
import sys

from tests.support.paths import ROOT


def call(script, *arguments, **settings):
    """What a script of the repository returned and printed."""
    command = [sys.executable, str(ROOT / script), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, **settings)


def leaves(node, path=()):
    """The path of every key of a config that holds a value."""
    if isinstance(node, dict):
        return [leaf for key, value in node.items() if key != "defaults" for leaf in leaves(value, (*path, key))]
    return [path]
