"""Resampling in time and in frequency against closed forms, with lost packets and missing tones."""

from __future__ import annotations

import time

import numpy as np
import pytest
from helpers.clocks import TONES
from helpers.compare import error
from helpers.signals import make_signal
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import SignalError
from foundation.transforms.impairments import timing_offset
from foundation.transforms.resample import resample_frequency, resample_time

#: Subcarriers that the Intel 5300 reports of a 20 MHz channel.
INTEL = np.array([*range(-28, -1, 2), -1, *range(1, 28, 2), 28]) * 312_500.0


def waves(time_s: np.ndarray, seed: int, highest_hz: float) -> np.ndarray:
    """Sums of sinusoids up to a frequency, [T, 2, 3]: an exactly band-limited signal."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(-highest_hz, highest_hz, (12, 2, 3))
    weight = rng.normal(size=(12, 2, 3)) + 1j * rng.normal(size=(12, 2, 3))
    return np.sum(weight * np.exp(2j * np.pi * frequency * time_s[:, None, None, None]), axis=1)


@pytest.mark.parametrize("interval", [0.004, 0.01, 0.0137])
def test_a_band_limited_signal_keeps_its_values_on_a_new_grid(interval: float) -> None:
    time = np.arange(400) / 100
    highest = 0.8 * 0.5 * min(100, 1 / interval)
    signal = make_signal(values=waves(time, 3, highest), times=400, links=2, responses=3)
    new = resample_time(signal, interval)
    middle = slice(int(0.5 / interval), -int(0.5 / interval))
    assert np.allclose(np.diff(new.time_s), interval)
    assert new.mask.all()
    assert error(new.values[middle], waves(new.time_s, 3, highest)[middle]) < 3e-4
    assert error(new.values, waves(new.time_s, 3, highest)) < 0.25, "the ends are continued, not cut to zero"


def test_going_down_does_not_alias() -> None:
    time = np.arange(2000) / 1000
    tone = np.exp(2j * np.pi * 90 * time)[:, None, None]
    new = resample_time(make_signal(values=tone, time_s=time, links=1, responses=1), 0.01)
    assert np.max(np.abs(new.values[20:-20])) < 2e-4, "90 Hz would show as -10 Hz at 100 packets a second"


def test_irregular_times_with_lost_packets() -> None:
    rng = np.random.default_rng(1)
    time = np.arange(600) / 200 + rng.uniform(-1e-3, 1e-3, 600)
    time = np.delete(time, [100, 250, 251, 252, 400])
    signal = make_signal(values=waves(time, 2, 15.0), time_s=time, links=2, responses=3)
    new = resample_time(signal, 0.01)
    lost = ~new.mask.all(axis=(1, 2))
    assert (new.mask.any(axis=(1, 2)) == ~lost).all()
    assert np.flatnonzero(lost).tolist() == [125, 126], "three lost in a row are a gap at half the rate, one is none"
    middle = np.zeros(len(lost), bool)
    middle[20:-20] = True
    kept = ~lost & middle
    assert error(new.values[kept], waves(new.time_s, 2, 15.0)[kept]) < 0.02
    bridged = resample_time(signal, 0.01, max_gap_s=0.1)
    assert bridged.mask.all()
    assert error(bridged.values[middle], waves(new.time_s, 2, 15.0)[middle]) < 0.05


def test_the_same_grid_changes_nothing() -> None:
    lost = np.ones((32, 2, 16), bool)
    lost[5] = lost[9, 1, 3] = False
    signal = make_signal(valid=lost, clean=np.ones((32, 2, 16)))
    new = resample_time(signal, 0.01)
    assert (new.mask == signal.mask).all()
    assert error(new.values, signal.values) < 1e-6
    assert new.clean is not None
    assert error(new.clean, np.ones(new.clean.shape)) < 1e-6
    assert (new.labels, new.session, new.links) == (signal.labels, signal.session, signal.links)


def test_real_signals_stay_real_and_constants_constant() -> None:
    signal = make_signal(values=np.full((40, 1, 3), 7.0), times=40, links=1, responses=3, is_real=True)
    new = resample_time(signal, 0.033)
    assert new.is_real
    np.testing.assert_allclose(new.values, 7, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    losses=st.lists(st.integers(3, 56), min_size=1, max_size=12, unique=True),
    ratio=st.sampled_from([0.4, 1.0, 1.7, 3.0]),
)
def test_a_lost_packet_is_one_that_never_came(seed: int, losses: list[int], ratio: float) -> None:
    """Marking a packet invalid and omitting it give the same values and mask."""
    signal = make_signal(seed, times=60, links=1, responses=2)
    valid = np.ones((60, 1, 2), bool)
    valid[losses] = False
    kept = np.delete(np.arange(60), losses)
    marked = resample_time(signal.with_(valid=valid), 0.01 * ratio)
    absent = resample_time(
        signal.with_(values=signal.values[kept], valid=None, time_s=signal.time_s[kept]), 0.01 * ratio
    )
    assert (marked.mask == absent.mask).all()
    assert error(marked.values, absent.values) < 1e-5
    between = np.searchsorted(signal.time_s[kept], marked.time_s, side="left")
    for row, after in enumerate(between):
        exact = np.min(np.abs(signal.time_s[kept] - marked.time_s[row])) < 1e-5
        gap = np.inf if after in (0, len(kept)) else float(np.diff(signal.time_s[kept])[after - 1])
        assert marked.mask[row].all() == (exact or gap <= 0.015 * max(1, ratio) * 1.001)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0.05, 0.9), which=st.sampled_from(["time", "frequency"]))
def test_masks_of_single_entries_stay_on_their_link_and_tone(seed: int, share: float, which: str) -> None:
    rng = np.random.default_rng(seed)
    valid = rng.random((20, 2, 8)) > share
    valid[:, 0, 0] = valid[0, 0] = True
    signal = make_signal(seed, times=20, links=2, responses=8, valid=valid, is_real=True, values=rng.random((20, 2, 8)))
    if which == "time":
        new, axis, grid = resample_time(signal, 0.02), 0, 0.02 * np.arange(10)
        old, default = signal.time_s, 0.03
    else:
        grid = signal.response[0] + 312_500.0 * np.array([0.5, 1, 3.25])
        new, axis, old = resample_frequency(signal, grid), 2, signal.response
        default = 1.5 * float(np.median(np.diff(grid)))
    masks, found = np.moveaxis(valid, axis, 0).reshape(len(old), -1), np.moveaxis(new.mask, axis, 0)
    found = found.reshape(len(grid), -1)
    for column in range(masks.shape[1]):
        seen = old[masks[:, column]]
        for row, point in enumerate(grid):
            at = np.min(np.abs(seen - point), initial=np.inf) < 1e-3 * (old[1] - old[0])
            below, above = np.max(seen[seen <= point], initial=-np.inf), np.min(seen[seen >= point], initial=np.inf)
            assert found[row, column] == (at or above - below <= default * 1.001)


@pytest.mark.parametrize("interval", [0.0, -1.0, float("nan")])
def test_an_interval_that_is_not_positive(interval: float) -> None:
    with pytest.raises(SignalError, match="interval_s"):
        resample_time(make_signal(), interval)


def echoes(frequency_hz: np.ndarray, delays_s: tuple[float, ...]) -> np.ndarray:
    return np.sum([np.exp(-2j * np.pi * frequency_hz * delay) / (1 + i) for i, delay in enumerate(delays_s)], axis=0)


def test_grouped_tones_onto_every_tone() -> None:
    delays = (20e-9, 60e-9, 150e-9)
    field = np.tile(echoes(INTEL, delays), (5, 2, 1))
    late = timing_offset(make_signal(values=field, times=5, links=2, responses=30, frequency_hz=INTEL), 600e-9)
    new = resample_frequency(late, TONES)
    assert new.mask.all()
    truth = echoes(TONES, tuple(delay + 600e-9 for delay in delays))
    assert error(new.values[:, :, 3:-3], truth[3:-3]) < 0.01


def test_nothing_is_invented_outside_the_band_or_in_a_hole() -> None:
    tones = np.delete(TONES, slice(20, 30))
    signal = make_signal(times=4, links=1, responses=47, frequency_hz=tones)
    grid = np.arange(-40, 41) * 312_500.0
    new = resample_frequency(signal, grid)
    np.testing.assert_array_equal(new.mask.all(axis=(0, 1)), np.isin(np.round(grid), np.round(tones)))
    assert error(new.values[new.mask], signal.values.ravel()) < 1e-5
    wide = resample_frequency(signal, grid, max_gap_hz=4e6)
    np.testing.assert_array_equal(wide.mask.all(axis=(0, 1)), np.isin(np.round(grid), np.round(TONES)))


def test_a_coarser_grid_does_not_alias_late_echoes() -> None:
    tones = np.arange(-256, 256) * 78_125.0
    coarse = tones[::8]
    late = echoes(tones, (1.3e-6,))  # beyond half of 1 / (625 kHz): it would show at -0.3 us
    both = make_signal(values=(1 + 0.3 * late)[None, None], times=1, links=1, responses=512, frequency_hz=tones)
    new = resample_frequency(both, coarse)
    assert np.std(new.values[0, 0, 16:-16]) < 0.01


def test_frequency_errors() -> None:
    cir = make_signal(1, times=1, links=1, responses=17, kind="cir", frequency_hz=None, delay_s=np.arange(17) * 1e-9)
    with pytest.raises(SignalError, match="to_frequency"):
        resample_frequency(cir, TONES)
    with pytest.raises(SignalError, match="increasing"):
        resample_frequency(make_signal(), TONES[::-1])
    with pytest.raises(SignalError, match="no offset in"):
        resample_frequency(make_signal(), TONES + 1e9)


def test_bursts_of_packets_take_no_longer_than_regular_ones() -> None:
    """Eight packets within 100 microseconds, every 10 ms: the interval is 14 microseconds, most of the time a pause."""
    times = (0.01 * np.arange(300)[:, None] + 1.4e-5 * np.arange(8)).ravel()
    values = np.exp(2j * np.pi * 3 * times)[:, None, None].astype(np.complex64)
    began = time.process_time()
    new = resample_time(make_signal(values=values, time_s=times, links=1, responses=1), 0.01)
    assert time.process_time() - began < 2
    inside = slice(20, 280)
    assert np.abs(new.values[inside, 0, 0] - np.exp(2j * np.pi * 3 * new.time_s[inside])).max() < 0.02
