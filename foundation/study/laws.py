"""Scaling laws: power laws of a loss in model size, amount of data and similar quantities, with 95 % intervals.

L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, arXiv 2203.15556, approach 3) is fitted to the logarithm
of the losses with the Huber loss (delta 1e-3) from many starting points; intervals are a bootstrap over runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import stdtrit

Array = NDArray[np.float64]

DELTA = 1e-3
RESAMPLES = 200
LEAST = 3  # distinct values of an axis that a law needs
#: Bounds of (a, alpha, b, beta, e), where a, b and e are logarithms; negative exponents let an interval include 0.
_BOUNDS = [(-15.0, 8.0), (-2.0, 4.0), (-15.0, 8.0), (-2.0, 4.0), (-15.0, 8.0)]


@dataclass(frozen=True)
class Exponent:
    """An exponent with its 95 % interval (low, high); NaN if there are too few runs."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Interpretation of the interval: falls, rises, or not significant."""
        if not np.isfinite([self.low, self.high]).all():
            return "too few runs for an interval"
        if self.low <= 0 <= self.high:
            return "includes 0: nothing found"
        return "falls" if self.value > 0 else "rises"


@dataclass(frozen=True)
class ScalingLaw:
    """L(N, D) = irreducible + a / N^alpha + b / D^beta, `irreducible` is what no network or data removes."""

    irreducible: float
    a: float
    alpha: Exponent
    b: float
    beta: Exponent

    def at(self, parameters: Array, amount: Array) -> Array:
        return np.asarray(self.irreducible + self.a * parameters**-self.alpha.value + self.b * amount**-self.beta.value)


def scaling_law(parameters: Array, amount: Array, loss: Array, seed: int = 0) -> ScalingLaw:
    """Fit the law to one loss > 0 per run.

    Args:
        parameters, amount, loss: float64 [runs].
        seed: of the bootstrap.

    Raises:
        ValueError: fewer than `LEAST` sizes or amounts, or fewer runs than the law has coefficients.
    """
    x, d, y = (np.log(np.asarray(each, np.float64)) for each in (parameters, amount, loss))
    if not _is_enough(x, d):
        raise ValueError(f"scaling_law: needs {LEAST} sizes and {LEAST} amounts and 6 runs; got {len(y)} runs")
    x0, d0 = x.mean(), d.mean()
    best = _fit(x - x0, d - d0, y, _starts(y))

    def again(rows: NDArray[np.int64]) -> list[float] | None:
        if not _is_enough(x[rows], d[rows]):
            return None
        found = _fit(x[rows] - x0, d[rows] - d0, y[rows], [best, _starts(y)[4]])
        return [found[1], found[3]]

    (low_a, low_b), (high_a, high_b) = _percentiles(again, len(y), seed)
    log_a, alpha, log_b, beta, irreducible = best
    return ScalingLaw(
        irreducible=float(np.exp(irreducible)),
        a=float(np.exp(log_a + alpha * x0)),
        alpha=Exponent(float(alpha), low_a, high_a),
        b=float(np.exp(log_b + beta * d0)),
        beta=Exponent(float(beta), low_b, high_b),
    )


def power_law(quantity: Array, value: Array, group: NDArray[np.int64]) -> Exponent:
    """The exponent k of value ~ c * quantity^-k by least squares in logarithms, with a factor c for every group.

    The interval is from Student's t distribution: a bootstrap over so few runs would be too narrow.

    Args:
        quantity, value: float64 [runs].
        group: int64 [runs], index of the other settings of a run.

    Raises:
        ValueError: no group has two different quantities.
    """
    x, y = (_centred(np.log(np.asarray(each, np.float64)), group) for each in (quantity, value))
    if x @ x < 1e-12:
        raise ValueError("power_law: the quantity is the same in all runs of every group")
    slope = float(x @ y / (x @ x))
    freedom = len(x) - len(np.unique(group)) - 1
    if freedom < 1:
        return Exponent(-slope, np.nan, np.nan)
    half = float(stdtrit(freedom, 0.975) * np.sqrt(np.sum((y - slope * x) ** 2) / freedom / (x @ x)))
    return Exponent(-slope, -slope - half, -slope + half)


def _centred(values: Array, group: NDArray[np.int64]) -> Array:
    _, own = np.unique(group, return_inverse=True)
    return np.asarray(values - (np.bincount(own, values) / np.bincount(own))[own])


def _percentiles(
    estimate: Callable[[NDArray[np.int64]], list[float] | None], runs: int, seed: int
) -> tuple[list[float], list[float]]:
    """2.5 and 97.5 % percentiles of each estimate over bootstrap samples; samples that cannot be fitted are redrawn."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(10 * RESAMPLES):
        drawn = estimate(rng.integers(runs, size=runs))
        found += [] if drawn is None else [drawn]
        if len(found) == RESAMPLES:
            low, high = np.percentile(found, [2.5, 97.5], axis=0)
            return low.tolist(), high.tolist()
    width = len(found[0]) if found else len(estimate(np.arange(runs)) or [])
    return [np.nan] * width, [np.nan] * width


def _is_enough(x: Array, d: Array) -> bool:
    pairs = np.unique(np.stack([x, d]), axis=1).shape[1]
    return len(np.unique(x)) >= LEAST and len(np.unique(d)) >= LEAST and pairs >= 6


def _starts(y: Array) -> list[Array]:
    least = y.min()
    shares = [(np.log(share), np.log((1 - share) / 2)) for share in (0.2, 0.9)]
    return [
        np.array([least + rest, alpha, least + rest, beta, least + irreducible])
        for (irreducible, rest), alpha, beta in product(shares, (0.1, 0.5, 1.0), (0.1, 0.5, 1.0))
    ]


def _fit(x: Array, d: Array, y: Array, starts: list[Array]) -> Array:
    """(a, alpha, b, beta, e) of the best of several minimisations; x and d are centred logarithms."""

    def terms(p: Array) -> Array:
        return np.stack([p[0] - p[1] * x, p[2] - p[3] * d, np.full_like(x, p[4])])

    def cost(p: Array) -> tuple[float, Array]:
        each = terms(p)
        predicted = np.logaddexp.reduce(each)
        share, error = np.exp(each - predicted), predicted - y
        slope = np.clip(error, -DELTA, DELTA) / DELTA
        huber = np.where(np.abs(error) <= DELTA, error**2 / (2 * DELTA), np.abs(error) - DELTA / 2)
        jacobian = np.stack([share[0], -share[0] * x, share[1], -share[1] * d, share[2]])
        return float(huber.sum()), jacobian @ slope

    low, high = np.array(_BOUNDS).T
    found = [minimize(cost, np.clip(start, low, high), jac=True, bounds=_BOUNDS) for start in starts]
    return np.asarray(min(found, key=lambda each: each.fun).x)
