"""Statistics of means and their bootstrap intervals by plain loops (docs/dismai_bench.md, "Bootstrap intervals")."""

import csv

import numpy as np
import pytest


def pivotal(rows, statistic):
    """A statistic of the mean row, and 2 s - P97.5 and 2 s - P2.5 of it over means of structures drawn anew."""
    random, count = np.random.default_rng(7), len(rows)
    drawn = [statistic(rows[random.choice(np.arange(count), count)].mean(axis=0)) for _ in range(1000)]
    value = statistic(rows.mean(axis=0))
    return value, 2 * value - np.percentile(drawn, 97.5, axis=0), 2 * value - np.percentile(drawn, 2.5, axis=0)


def euclidean(generated, reference):
    """Distance of the mean rows with its interval."""
    target = reference.mean(axis=0)
    return pivotal(generated, lambda mean: np.sqrt(np.sum((mean - target) ** 2)))


def cosine(generated, reference):
    """One minus the cosine of the angle between the mean rows, with its interval."""
    target = reference.mean(axis=0)
    return pivotal(generated, lambda mean: 1 - mean @ target / np.sqrt((mean @ mean) * (target @ target)))


def check(interval, expected):
    """Value and both ends."""
    assert (interval.value, interval.low, interval.high) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def broken(atoms):
    """A structure that fails."""
    copy = atoms.copy()
    copy.info.update(converged=False, reason="max_steps")
    return copy


def columns(path):
    """A CSV file by its columns, as text."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def check_motif_errors(table, prefix, shares):
    """Columns of a most_likely table against the shares (percent) of each structure, shape (structures, motifs)."""
    value, low, high = pivotal(shares, lambda mean: mean)
    found = [np.asarray(table[f"{prefix}{name} (%)"], dtype=float) for name in ("", " lower error", " upper error")]
    np.testing.assert_allclose(found, [value, value - low, high - value], rtol=1e-9, atol=1e-10)
