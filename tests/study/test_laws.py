"""Scaling laws: known exponents are recovered, and noise gives intervals that include 0."""

from __future__ import annotations

import numpy as np
import pytest

from foundation.study.laws import power_law, scaling_law

SIZES, AMOUNTS = (a.ravel() for a in np.meshgrid([3e4, 1e5, 3e5, 1e6], [375.0, 1500.0, 6000.0]))
ALPHA, BETA = 0.5, 0.35


def made(noise: float, seed: int = 0) -> np.ndarray:
    """Losses of a grid of 4 sizes x 3 amounts, with a relative noise."""
    law = 0.3 + 40 * SIZES**-ALPHA + 3 * AMOUNTS**-BETA
    return np.asarray(law * np.exp(noise * np.random.default_rng(seed).standard_normal(len(law))))


def test_the_law_that_made_the_losses_is_found() -> None:
    found = scaling_law(SIZES, AMOUNTS, made(0.0))
    numbers = (found.irreducible, found.a, found.alpha.value, found.b, found.beta.value)
    assert numbers == pytest.approx((0.3, 40, ALPHA, 3, BETA), rel=1e-3)
    np.testing.assert_allclose(found.at(SIZES, AMOUNTS), made(0.0), rtol=1e-4)


def test_with_noise_the_intervals_hold_the_truth_and_say_that_the_loss_falls() -> None:
    found = scaling_law(SIZES, AMOUNTS, made(0.005))
    for exponent, truth in ((found.alpha, ALPHA), (found.beta, BETA)):
        assert exponent.low < truth < exponent.high
        assert 0.01 < exponent.high - exponent.low < 0.5
        assert exponent.verdict == "falls"


def test_a_quantity_that_does_nothing_is_said_to_do_nothing() -> None:
    noise = np.exp(0.02 * np.random.default_rng(1).standard_normal(12))
    found = scaling_law(SIZES, AMOUNTS, (0.5 + 3 * AMOUNTS**-BETA) * noise)
    assert found.alpha.low < 0 < found.alpha.high
    assert found.alpha.verdict == "includes 0: nothing found"


def test_too_small_a_grid_is_refused() -> None:
    few = AMOUNTS < 2000
    with pytest.raises(ValueError, match="needs 3 sizes and 3 amounts"):
        scaling_law(SIZES[few], AMOUNTS[few], made(0.0)[few])


def test_one_exponent_serves_groups_of_other_factors() -> None:
    group = np.unique(AMOUNTS, return_inverse=True)[1]
    value = (1.0 + group) * SIZES**-0.2
    assert power_law(SIZES, value, group).value == pytest.approx(0.2)
    assert power_law(SIZES, 1 / value, group).value == pytest.approx(-0.2)
    with pytest.raises(ValueError, match="the same in all runs"):
        power_law(SIZES, value, np.arange(len(SIZES)))


def test_the_interval_of_a_power_law_misses_the_truth_one_time_in_twenty() -> None:
    """A thousand grids of pure noise: the exponent is 0, and its 95 % interval must hold that in 95 % of them."""
    rng, group = np.random.default_rng(0), np.unique(AMOUNTS, return_inverse=True)[1]
    found = [power_law(SIZES, np.exp(0.1 * rng.standard_normal(12)), group) for _ in range(1000)]
    assert 0.93 < np.mean([each.low <= 0 <= each.high for each in found]) < 0.97


def test_two_runs_give_an_exponent_without_an_interval() -> None:
    found = power_law(np.array([1.0, 10.0]), np.array([1.0, 0.1]), np.zeros(2, np.int64))
    assert found.value == pytest.approx(1.0)
    assert found.verdict == "too few runs for an interval"
