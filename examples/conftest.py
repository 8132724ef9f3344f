"""Notebooks run with tiny settings in tests: `python -m pytest --nbmake examples`."""

import os

os.environ.setdefault("EXAMPLES_QUICK", "1")
