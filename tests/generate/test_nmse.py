"""NMSE: error power over signal power, of one window and pooled."""

from __future__ import annotations

import numpy as np
import pytest

from foundation.generate.nmse import error_and_power, nmse


def test_nmse_is_the_error_over_the_power_of_the_truth() -> None:
    truth = np.array([3 + 4j, 0, 100])
    predicted = np.array([3 + 3j, 2, 0])
    where = np.array([True, True, False])
    assert nmse(truth, predicted, where) == pytest.approx(5 / 25)
    assert nmse(truth, truth) == 0
    with pytest.raises(ValueError, match="truth is 0"):
        nmse(np.zeros(2), np.ones(2))


def test_errors_and_powers_of_parts_add_up_to_the_nmse_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = (rng.standard_normal((6, 5)) + 1j * rng.standard_normal((6, 5)) for _ in range(2))
    where = rng.random((6, 5)) < 0.5
    error, power = np.sum([error_and_power(*each) for each in zip(truth, predicted, where, strict=True)], axis=0)
    assert error / power == pytest.approx(nmse(truth, predicted, where))
    with pytest.raises(ValueError, match="shape"):
        error_and_power(truth, predicted[:, 1:])
