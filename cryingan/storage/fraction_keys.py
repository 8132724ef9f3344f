"""Names of fractions of samples at or below a threshold, in metrics.csv, relaxed.json and the tables of W&B.

They hold letters, digits, `_` and `/` only: W&B neither sorts nor filters others. Version 0.1.0 wrote the threshold as
it is, such as `relax/fraction_below_-0.2`; readers take both. So it is with other keys that have new names.
"""

from __future__ import annotations

import re

import numpy as np

FRACTION = "relax/fraction_below_"
DISTINCT = "relax/distinct_below_"
OUT_OF_TIME = "relax/out_of_time"
HIGH = ("/precision", "/recall", "/f1", "/coverage", "/distinct_minima")
LOW = ("/loss", "_error", "/close_pairs", "/energy", "/energy_median", "/kolmogorov_smirnov")
SHARES_OF_BAD = ("/failed", "/unconverged", "/out_of_time", "/contacts")
LOW += SHARES_OF_BAD
_FORMER = re.compile(r"((?:relax/)?fraction_below_)(-?\d+(?:\.\d+)?(?:e[+-]\d+)?)(_low|_high)?")
_RENAMED = {f"{part}/wasserstein": f"{part}/score_difference" for part in ("train", "val")}
_THRESHOLD = re.compile(rf"{FRACTION}((?:minus_)?\d+(?:_\d+)?)")


def fraction_key(threshold: float) -> str:
    """The name of the fraction at or below a threshold; its interval has `_low` and `_high` behind it.

    >>> fraction_key(0), fraction_key(-0.2)
    ('relax/fraction_below_0', 'relax/fraction_below_minus_0_2')
    >>> fraction_key(0.05), fraction_key(1e-05), fraction_key(10.0)
    ('relax/fraction_below_0_05', 'relax/fraction_below_0_00001', 'relax/fraction_below_10')
    """
    return FRACTION + _digits(threshold)


def random_key(percent: int) -> str:
    """The name of the fraction at or below the energy under which so many percent of random structures lie.

    >>> random_key(10)
    'relax/fraction_below_random_10'
    """
    return f"{FRACTION}random_{percent}"


def distinct_key(threshold: float) -> str:
    """The name of the share of distinct minima at or below a threshold.

    >>> distinct_key(-0.2)
    'relax/distinct_below_minus_0_2'
    """
    return DISTINCT + _digits(threshold)


def current_key(name: str) -> str:
    """A name as it is written today; most stay.

    >>> current_key("relax/fraction_below_-0.2_low"), current_key("relax/energy_low")
    ('relax/fraction_below_minus_0_2_low', 'relax/energy_low')
    >>> current_key("train/wasserstein")
    'train/score_difference'
    """
    former = _FORMER.fullmatch(name)
    return f"{former[1]}{_digits(float(former[2]))}{former[3] or ''}" if former else _RENAMED.get(name, name)


def threshold_in(name: str) -> str | None:
    """The threshold of a fraction as a number in text; None for other names, also for the ends of intervals.

    >>> threshold_in("relax/fraction_below_minus_0_2"), threshold_in("relax/fraction_below_0_low")
    ('-0.2', None)
    """
    found = _THRESHOLD.fullmatch(current_key(name))
    return found and found[1].replace("minus_", "-").replace("_", ".")


def mode_of(name: str) -> str | None:
    """Whether a value is good when it is high, `max`, or low, `min`; None where that is not clear.

    Neither is density, which samples that are all alike raise, nor any distance between structures.

    >>> mode_of("relax/fraction_below_0"), mode_of("val/loss"), mode_of("samples/distance")
    ('max', 'min', None)
    """
    if name.startswith((FRACTION, DISTINCT)) or name.endswith(HIGH):
        return "max"
    return "min" if name.endswith(LOW) else None


def worst_of(name: str) -> float | None:
    """The value that a share of samples has where no sample is good; None where there is none.

    >>> worst_of("relax/f1"), worst_of("relax/failed"), worst_of("val/loss")
    (0.0, 1.0, None)
    """
    if mode_of(name) == "max":
        return 0.0
    return 1.0 if name.endswith(SHARES_OF_BAD) else None


def _digits(threshold: float) -> str:
    """A number as part of a name."""
    text = np.format_float_positional(float(threshold) + 0.0, trim="-")  # -0.0 + 0.0 is 0.0
    return text.replace("-", "minus_").replace(".", "_")
