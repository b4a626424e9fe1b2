"""Signals unlike those that a head was fitted to: another kind is refused, another shape or band said."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.data.seen import Seen
from foundation.errors import SignalError


def test_like_signals_pass_without_a_word() -> None:
    seen = Seen.of([make_signal(0), make_signal(1, times=20)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen.check([make_signal(2, times=25), make_signal(3, carrier_hz=5.8e9), make_signal(4, carrier_hz=0.0)])


def test_another_kind_is_refused() -> None:
    amplitude = make_signal(1).with_(values=np.abs(make_signal(1).values), kind="csi-amplitude", is_real=True)
    with pytest.raises(SignalError, match="session 'session-1' is csi-amplitude, and the head was fitted to csi"):
        Seen.of([make_signal()]).check([make_signal(), amplitude])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"links": 3}, "has 32 times x 3 links x 16 responses, and the head was fitted to 32 times x 2 x 16"),
        ({"responses": 8}, "x 8 responses"),
        ({"times": 64}, "has 64 times"),
        ({"carrier_hz": 2.437e9}, "is at 2.44 GHz, and the head was fitted at 5.18 GHz"),
    ],
)
def test_another_shape_or_band_is_said(changes: dict, said: str) -> None:
    with pytest.warns(UserWarning, match=said):
        Seen.of([make_signal()]).check([make_signal(7, **changes)])


def test_what_was_seen_is_written_and_read_alike(tmp_path: Path) -> None:
    seen = Seen.of([make_signal(), make_signal(1, carrier_hz=0.0)])
    assert Seen.model_validate_json(seen.model_dump_json()) == seen
