"""The learning-rate schedule."""

from __future__ import annotations

import itertools

import pytest

from foundation.train.optim import rate


def test_rate_warms_up_and_ends_at_a_tenth() -> None:
    rates = [rate(step, 10, 100) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 11)
    assert max(rates) == rates[10] == 1.0
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0.1)
