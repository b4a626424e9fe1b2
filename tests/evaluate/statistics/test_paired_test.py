"""The paired randomisation test against exact tests, and Holm against published values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from foundation.evaluate.jobs import Runs
from foundation.evaluate.statistics.paired_test import difference, holm


def _runs(correct: np.ndarray, block: np.ndarray | None = None) -> Runs:
    """Answers [seeds, n] that are right or wrong as told; the truth is 1 everywhere."""
    n = correct.shape[1]
    return Runs(np.ones(n, int), np.arange(n) if block is None else block, dict(enumerate(correct.astype(int))))


def test_one_seed_and_single_samples_are_the_exact_mcnemar_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((1, 60)) < 0.8, rng.random((1, 60)) < 0.6
    only = int((first & ~second).sum()), int((second & ~first).sum())
    found = difference(_runs(first), _runs(second))
    exact = binomtest(min(only), sum(only), 0.5).pvalue
    assert found.mean == pytest.approx((only[0] - only[1]) / 60)
    assert found.low < found.mean < found.high
    assert found.p == pytest.approx(exact, abs=0.01)
    few = difference(_runs(first[:, :15]), _runs(second[:, :15]))
    only = int((first & ~second)[:, :15].sum()), int((second & ~first)[:, :15].sum())
    assert few.p == pytest.approx(binomtest(min(only), sum(only), 0.5).pvalue)


def test_samples_recorded_together_count_once_and_seeds_are_averaged() -> None:
    first, second = np.ones((3, 60), bool), np.zeros((2, 60), bool)
    second[:, 30:] = True
    together = np.arange(60) // 10
    alone, blocked = (
        difference(_runs(first), _runs(second)),
        difference(_runs(first, together), _runs(second, together)),
    )
    assert alone.mean == blocked.mean == 0.5
    assert alone.p < 0.001
    assert (blocked.p, blocked.blocks) == (2 / 2**3, 6), "three recordings that differ"
    half = second.copy()
    half[0, :30] = True
    assert difference(_runs(first), _runs(half)).mean == 0.25
    with pytest.raises(ValueError, match="same samples"):
        difference(_runs(first), _runs(second, together))


def test_holm_adjusts_as_published() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
