"""Low-rank completion: exact on low-rank fields, no worse than its starts elsewhere, and blind to hidden entries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from foundation.generate import interpolate, low_rank, mean_over_time
from foundation.generate.nmse import nmse


def _matrix(rank: int, noise: float = 0.0, shape: tuple[int, int, int] = (40, 3, 16)) -> tuple[np.ndarray, np.ndarray]:
    """A complex field of this rank over (time, link x response), and what is measured of it."""
    rng = np.random.default_rng(0)

    def drawn(*size: int) -> np.ndarray:
        return rng.standard_normal(size) + 1j * rng.standard_normal(size)

    truth = (drawn(shape[0], rank) @ drawn(rank, shape[1] * shape[2])).reshape(shape) / np.sqrt(2 * rank)
    return truth.astype(np.complex64), (truth + noise * drawn(*shape)).astype(np.complex64)


def _seen(share: float, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).random(shape) < share


@pytest.mark.parametrize("axis", [0, 2])
def test_a_low_rank_field_is_completed_where_lines_know_nothing(axis: int) -> None:
    """White along every axis, so neighbours tell nothing; rank 1 along either unfolding."""
    truth, field = (np.moveaxis(x, 0, axis) for x in _matrix(1, 0.02))
    visible = _seen(0.5, truth.shape)
    errors = {method: nmse(truth, method(field, visible), ~visible) for method in (low_rank, interpolate)}
    assert errors[low_rank] < 0.01
    assert errors[interpolate] > 0.5


def test_low_rank_reads_no_hidden_entry_and_keeps_the_visible_ones() -> None:
    truth, field = _matrix(3, 0.1)
    visible = _seen(0.4, truth.shape)
    imputed = low_rank(field, visible)
    np.testing.assert_array_equal(low_rank(np.where(visible, field, 1e6), visible), imputed)
    np.testing.assert_array_equal(imputed[visible], field[visible])
    assert imputed.dtype == field.dtype


@pytest.mark.parametrize("hidden", [np.s_[10:25], np.s_[:, 1], np.s_[:, :, 4:10]], ids=["time", "link", "response"])
def test_what_is_hidden_as_a_whole_is_no_worse_than_by_lines(hidden: Any) -> None:
    """A smooth field with noise: the rank is chosen by a block of the same kind."""
    time, place = np.linspace(0, 1, 40)[:, None, None], np.linspace(0, 1, 16)
    truth = 2 + np.sin(3 * time + np.arange(3)[:, None] / 5) * np.cos(2 * place) + 0j
    visible = np.ones(truth.shape, bool)
    visible[hidden] = False
    made: dict[Any, list[float]] = {low_rank: [], interpolate: []}
    for seed in range(4):
        field = truth + 0.2 * np.random.default_rng(seed).standard_normal(truth.shape)
        for method, errors in made.items():
            errors.append(nmse(truth, method(field, visible), ~visible))
    assert np.mean(made[low_rank]) < np.mean(made[interpolate])


@pytest.mark.parametrize("shape", [(1, 1, 30), (1, 8, 1), (25, 1, 1)])
def test_a_single_row_is_filled_by_one_of_the_starts(shape: tuple[int, int, int]) -> None:
    field = np.random.default_rng(0).standard_normal(shape) + 0j
    visible = _seen(0.6, shape)
    imputed = low_rank(field, visible)
    assert any(np.array_equal(imputed, start(field, visible)) for start in (interpolate, mean_over_time))
