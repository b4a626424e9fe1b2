"""The clock of live packets is that of finished files, and tells where a sender begins anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foundation.readers.live.parts import LiveClock, Streams, runs
from foundation.readers.wifi.clock import packet_times


@pytest.mark.parametrize(("bits", "start"), [(32, 2**32 - 5_000), (64, 123)])
def test_times_are_those_of_the_finished_file(bits: int, start: int) -> None:
    steps = np.random.default_rng(0).integers(1, 20_000, 500)
    ticks = np.array([(start + step) % 2**bits for step in np.cumsum(steps).tolist()], np.uint64)
    clock = LiveClock(1e-6, bits)
    found = [clock.times(ticks[at : at + 7].tolist()) for at in range(0, 500, 7)]
    expected = packet_times(ticks, 1e-6, Path("a"), bits=bits)
    np.testing.assert_array_equal(np.concatenate([times for times, _ in found]), expected)
    assert not np.concatenate([numbers for _, numbers in found]).any()


def test_a_clock_that_runs_backward_or_jumps_by_days_begins_anew() -> None:
    times, numbers = LiveClock(1e-6).times([0, 10, 20, 20, 5, 15, 15 + 2 * 86_400 * 10**6])
    np.testing.assert_allclose(1e6 * times, [0, 10, 20, 30, 0, 10, 0])
    assert numbers.tolist() == [0, 0, 0, 0, 1, 1, 2]


def test_a_given_interval_takes_the_place_of_the_clock() -> None:
    times, numbers = LiveClock(1e-6, interval_s=0.5).times([7, 7, 3])
    assert (times.tolist(), numbers.tolist()) == ([0.0, 0.5, 1.0], [0, 0, 0])


def test_the_state_of_the_latest_streams_is_kept() -> None:
    streams: Streams[list[int]] = Streams(list)
    for number in range(100):
        streams.of(number).append(number)
        streams.of(0)
    assert len(streams.items()) == 64
    assert streams.of(0) == [0]
    assert streams.of(1) == []


def test_runs_are_the_stretches_of_equal_numbers() -> None:
    assert runs(np.array([1, 1, 2, 1])) == [slice(0, 2), slice(2, 3), slice(3, 4)]
    assert runs(np.array([], np.int64)) == []
