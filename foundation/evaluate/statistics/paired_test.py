"""Is one line better than another on the same test samples? A paired test that is right for few seeds.

Three or five seeds say little by themselves: resampled, they give ten different samples at most, and a t-test over them
hardly ever decides. What there are enough of is test samples. So each sample counts with its mean over seeds, the unit
is what was recorded together (a block: one session and class, for its windows are right or wrong together), and the
test flips the sign of whole blocks (Fisher's randomisation test). With one seed and blocks of one sample it is the
exact McNemar test; unlike that it also takes distances in metres. It says how sure a difference is for these fits: the
spread over seeds is in the intervals of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from foundation.evaluate.jobs import Runs
from foundation.evaluate.statistics.metrics import each_score

DRAWS = 9999
EXACT = 13  # blocks up to which all flips of signs are counted
_SLACK = 1e-12  # sums in another order differ by rounding


@dataclass(frozen=True)
class Difference:
    """First minus second, in the unit of the headline metric: `mean` with its 95 % interval over blocks, and the
    two-sided p that there is none. `blocks` is how many there are: fewer than 6 can never give p < 0.05."""

    mean: float
    low: float
    high: float
    p: float
    blocks: int
    n: int


def difference(first: Runs, second: Runs) -> Difference:
    """Compare two lines by their answers to the same test samples.

    Raises:
        ValueError: they are not about the same samples.
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
    """P-values adjusted for their number (Holm 1979), in the order given."""
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1)) if len(p) else np.zeros(0)
    out = np.empty(len(p))
    out[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in out]


def _mean_score(runs: Runs) -> np.ndarray:
    """[n] of each sample: its score, averaged over seeds."""
    return np.asarray(np.mean([each_score(runs.truth, predicted) for predicted in runs.predicted.values()], axis=0))


def _p(sums: np.ndarray, rng: np.random.Generator) -> float:
    """Share of the sign flips that give a sum as far from 0; of all there are, or of `DRAWS`."""
    moved = sums[sums != 0]  # flipping the others changes nothing
    least = abs(moved.sum()) - _SLACK
    if len(moved) <= EXACT:
        return float(np.mean([abs(np.dot(signs, moved)) >= least for signs in product((-1, 1), repeat=len(moved))]))
    far = sum(abs(np.dot(rng.choice((-1, 1), len(moved)), moved)) >= least for _ in range(DRAWS))
    return float((far + 1) / (DRAWS + 1))
