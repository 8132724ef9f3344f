"""The config of sample.py."""

from functools import partial

from configs import entry

compose = partial(entry.compose, "sample")
"""The config that `python sample.py OVERRIDES` composes."""
