"""Baselines along time: the nearest or the mean value, and what all baselines do with nothing or one entry visible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from foundation.generate import hold, interpolate, low_rank, mean_over_time


@pytest.mark.parametrize("method", [low_rank, hold, mean_over_time, interpolate])
def test_nothing_visible_is_refused(method: Any) -> None:
    with pytest.raises(ValueError, match="no entry is visible"):
        method(np.ones((4, 2, 3), np.complex64), np.zeros((4, 2, 3), bool))


def test_one_visible_entry_is_everywhere() -> None:
    field = np.arange(24.0).reshape(4, 2, 3).astype(np.complex64)
    visible = np.zeros(field.shape, bool)
    visible[1, 0, 2] = True
    for method in (low_rank, hold, mean_over_time):
        np.testing.assert_array_equal(method(field, visible), np.full(field.shape, field[1, 0, 2]))


def test_holding_takes_the_nearest_time_and_the_earlier_of_two() -> None:
    column = np.array([0, 1, 0, 3, 0, 0, 6, 0], np.complex64).reshape(-1, 1, 1)
    visible = column.real > 0
    assert hold(column, visible).ravel().real.tolist() == [1, 1, 1, 3, 3, 6, 6, 6]
    np.testing.assert_allclose(mean_over_time(column, visible).ravel()[:4], [10 / 3, 1, 10 / 3, 3], rtol=1e-6)
    beside = np.concatenate([column, np.zeros_like(column), column + 2], axis=2)
    imputed = hold(beside, np.concatenate([visible, visible & False, visible], axis=2))
    np.testing.assert_allclose(
        imputed[:, 0, 1], imputed[:, 0, ::2].mean(axis=1), err_msg="an unseen column: between two"
    )
