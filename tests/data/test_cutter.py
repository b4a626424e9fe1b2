"""A recording that arrives in parts has the windows of the whole, to the bit."""

from __future__ import annotations

import time

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.data.cutter import Cut, Cutter, Gap
from foundation.data.windows import WindowShape
from foundation.errors import SignalError
from foundation.models.config import DEFAULT_VIEWS
from foundation.signal import Signal

SHAPE = WindowShape.of([make_signal(k) for k in range(3)])  # 32 samples at 100 a second


def _recording(rate_hz: float, count: int, gap_at: int | None = None) -> Signal:
    """Irregular times, lost entries and, from a sample on, a pause of two seconds."""
    rng = np.random.default_rng(0)
    times = (np.arange(count) + 0.2 * rng.random(count)) / rate_hz
    if gap_at is not None:
        times[gap_at:] += 2.0
    values = rng.standard_normal((count, 2, 16, 2)).astype(np.float32).view(np.complex64)[..., 0]
    valid = rng.random((count, 2, 1)) > 0.02
    return make_signal(times=count, values=values, valid=valid, time_s=times)


def _in_parts(recording: Signal, hop_s: float | None, views: dict[str, str], seed: int) -> list[Cut | Gap]:
    cutter, found, at = Cutter(SHAPE, views, hop_s), [], 0
    rng = np.random.default_rng(seed)
    while at < len(recording.time_s):
        count = int(rng.integers(1, 40))
        found += cutter.add(recording.part(times=slice(at, at + count)))
        at += count
        assert len(cutter._times) < 400, "what lies behind is forgotten"
    return found + cutter.end()


@pytest.mark.parametrize("hop_s", [None, 0.1, 0.5])
@pytest.mark.parametrize("rate_hz", [100.0, 40.0, 370.0])
@pytest.mark.parametrize("view", ["log-amplitude", "sanitized"])
def test_the_windows_are_those_of_the_whole(rate_hz: float, hop_s: float | None, view: str) -> None:
    recording, views = _recording(rate_hz, round(6 * rate_hz), round(3 * rate_hz)), DEFAULT_VIEWS | {"csi": view}
    whole = Cutter(SHAPE, views, hop_s)
    expected = [*whole.add(recording), *whole.end()]
    assert any(isinstance(one, Gap) for one in expected) or hop_s == 0.5
    found = _in_parts(recording, hop_s, views, 1)
    wanted = [one for one in expected if isinstance(one, Cut)]
    cuts = [one for one in found if isinstance(one, Cut)]
    assert [one[:2] for one in cuts] == [one[:2] for one in wanted]
    for one, other in zip(cuts, wanted, strict=True):
        np.testing.assert_array_equal(one.window.values, other.window.values)
        np.testing.assert_array_equal(one.window.mask, other.window.mask)
        np.testing.assert_array_equal(one.window.time_s, other.window.time_s)
    left_out = [sum(one.windows for one in each if isinstance(one, Gap)) for each in (found, expected)]
    assert left_out[0] == left_out[1]


def test_a_window_is_there_with_its_last_packet() -> None:
    cutter, recording = Cutter(SHAPE, DEFAULT_VIEWS), make_signal(times=128)
    counts = [len(cutter.add(recording.part(times=slice(k, k + 1)))) for k in range(128)]
    assert np.flatnonzero(counts).tolist() == [63, 95, 127]
    assert counts[63] == 2, "the rate is measured on the first 64"


def test_a_pause_of_a_day_at_another_rate_is_one_gap() -> None:
    recording = _recording(250.0, 400)
    late = recording.with_(time_s=recording.time_s + 86_400.0 * (np.arange(400) >= 200))
    cutter, began = Cutter(SHAPE, DEFAULT_VIEWS, 0.01), time.process_time()
    found = [*cutter.add(late), *cutter.end()]
    (gap,) = [one for one in found if isinstance(one, Gap)]
    assert gap.windows > 8_000_000
    assert time.process_time() - began < 5
    assert isinstance(found[-1], Cut)


def test_a_recording_that_is_too_slow_is_refused_once_its_rate_is_known() -> None:
    recording, cutter = _recording(20.0, 64), Cutter(SHAPE, DEFAULT_VIEWS)
    assert cutter.add(recording.part(times=slice(0, 63))) == []
    with pytest.raises(SignalError, match="samples a second and the training windows had 100; give a recording of 25"):
        cutter.add(recording.part(times=slice(63, 64)))
