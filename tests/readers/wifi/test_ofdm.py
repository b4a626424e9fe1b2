"""Channel numbers and subcarriers of IEEE 802.11."""

from __future__ import annotations

import numpy as np
import pytest

from foundation.readers.wifi.ofdm import INDICES, channel_hz, undo_ht40_rotation


@pytest.mark.parametrize(
    ("number", "is_5ghz", "hertz"),
    [(1, False, 2.412e9), (13, False, 2.472e9), (14, False, 2.484e9), (36, True, 5.18e9), (14, True, 5.07e9)],
)
def test_centre_frequencies(number: int, is_5ghz: bool, hertz: float) -> None:
    assert channel_hz(number, is_5ghz=is_5ghz) == hertz


@pytest.mark.parametrize("count", INDICES)
def test_subcarriers_are_symmetric_without_the_centre(count: int) -> None:
    indices = INDICES[count]
    assert len(indices) == count
    assert 0 not in indices
    np.testing.assert_array_equal(indices, -indices[::-1])


def test_only_the_upper_half_is_rotated_back() -> None:
    values = np.tile(np.where(INDICES[114] > 0, 1j, 1).astype(np.complex64), (2, 1))
    undo_ht40_rotation(values, INDICES[114])
    np.testing.assert_array_equal(values, 1)
