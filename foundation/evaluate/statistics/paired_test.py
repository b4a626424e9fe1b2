"""Paired randomisation test of two methods on the same test samples, with blocks of dependent samples.

A test over three or five seeds has hardly any power, while test samples are many. Each sample therefore counts with its
mean score over seeds; the unit is a block of samples that were recorded together (one session and class), and the test
flips the signs of whole blocks (Fisher's randomisation test). With one seed and blocks of one sample it is the exact
McNemar test; unlike that it also takes distances. It tests these fits; the spread over seeds is in the rows' intervals.

`scipy.stats.permutation_test(permutation_type="samples")` computes the same p-value from other random flips; ours keeps
the published p-values reproducible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from foundation.evaluate.jobs import Runs
from foundation.evaluate.statistics.metrics import each_score

DRAWS = 9999
EXACT = 13  # up to so many blocks all sign flips are enumerated
_TOLERANCE = 1e-12  # of sums in another order


@dataclass(frozen=True)
class Difference:
    """First minus second method, in the unit of the headline metric.

    Attributes:
        mean, low, high: difference with its 95 % bootstrap interval over blocks.
        p: two-sided p-value of the randomisation test.
        blocks: number of blocks; with fewer than 6, p < 0.05 is impossible.
        n: number of samples.
    """

    mean: float
    low: float
    high: float
    p: float
    blocks: int
    n: int


def difference(first: Runs, second: Runs) -> Difference:
    """Compare two lines by their predictions of the same test samples.

    Raises:
        ValueError: the test samples differ.
    """
    if not (np.array_equal(first.truth, second.truth) and np.array_equal(first.block, second.block)):
        raise ValueError("difference: the two lines were not tested on the same samples")
    apart = _mean_score(first) - _mean_score(second)
    sums, sizes = np.bincount(first.block, apart), np.bincount(first.block)
    rng = np.random.default_rng(0)
    drawn = (rng.integers(len(sums), size=len(sums)) for _ in range(DRAWS))
    means = [sums[chosen].sum() / sizes[chosen].sum() for chosen in drawn]
    low, high = np.quantile(means, [0.025, 0.975])
    mean = float(apart.mean())
    return Difference(mean, min(float(low), mean), max(float(high), mean), _p(sums, rng), len(sums), len(apart))


def holm(p: Sequence[float]) -> list[float]:
    """P-values adjusted for multiple tests by Holm's method (1979), in the given order.

    Equal to `statsmodels.stats.multitest.multipletests(p, method="holm")`, which would add 156 MB of packages
    (statsmodels with pandas) for these five lines.
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1)) if len(p) else np.zeros(0)
    out = np.empty(len(p))
    out[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in out]


def _mean_score(runs: Runs) -> np.ndarray:
    """Score of each sample averaged over seeds, [n]."""
    return np.asarray(np.mean([each_score(runs.truth, predicted) for predicted in runs.predicted.values()], axis=0))


def _p(sums: np.ndarray, rng: np.random.Generator) -> float:
    """Share of the sign flips, of all or of `DRAWS` random ones, whose sum is at least as far from 0."""
    moved = sums[sums != 0]  # flipping zeros changes nothing
    observed = abs(moved.sum()) - _TOLERANCE
    if len(moved) <= EXACT:
        return float(np.mean([abs(np.dot(signs, moved)) >= observed for signs in product((-1, 1), repeat=len(moved))]))
    far = sum(abs(np.dot(rng.choice((-1, 1), len(moved)), moved)) >= observed for _ in range(DRAWS))
    return float((far + 1) / (DRAWS + 1))
