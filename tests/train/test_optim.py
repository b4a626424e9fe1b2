"""The learning-rate schedules."""

from __future__ import annotations

import itertools

import pytest

from foundation.config import TrainSection
from foundation.train.optim import rate


def _rates(steps: int, **changes: object) -> list[float]:
    train = TrainSection.model_validate({"steps": steps, "warmup_steps": 10, **changes})
    return [rate(step, train) for step in range(steps + 1)]


def test_rate_warms_up_and_ends_at_a_tenth() -> None:
    rates = _rates(100)
    assert rates[0] == pytest.approx(1 / 11)
    assert max(rates) == rates[10] == 1.0
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0.1)


def test_wsd_stays_and_comes_down_to_nothing() -> None:
    rates = _rates(100, schedule="wsd", decay_share=0.3)
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10:71] == [1.0] * 61
    assert all(a > b for a, b in itertools.pairwise(rates[70:]))
    assert rates[100] == 0


def test_a_longer_wsd_run_has_the_same_rates_until_the_shorter_comes_down() -> None:
    short, long = (_rates(steps, schedule="wsd", decay_share=0.2) for steps in (100, 200))
    assert short[:81] == long[:81]
