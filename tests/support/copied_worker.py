"""The process that relaxes in the background as a copy of the one that tests, which need not import anything anew."""

import logging
import os
import signal
import subprocess
import sys
import traceback
from functools import partial
from importlib import import_module


class Copy(subprocess.Popen):
    """`python -m MODULE ARGUMENTS`, where the module has a function `main` and ends by a signal or an error only."""

    def __init__(self, command, **settings):
        python, option, module, *arguments = command
        assert (python, option) == (sys.executable, "-m")
        super().__init__(command, preexec_fn=partial(_become, module, arguments), **settings)


def _become(module, arguments):
    """Leave behind what a program that is started does not have: open files, handlers of signals and of the log."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    logging.root.handlers.clear()
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.argv = [module, *arguments]
    try:
        import_module(module).main()
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)
