"""Transforms against closed forms, and their rules about what was not measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers.clocks import CARRIER, TONES, random_clock, reflector, two_antennas
from helpers.signals import make_signal
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import SignalError
from foundation.signal import Link, Signal
from foundation.transforms.antennas import conjugate_product, conjugate_ratio
from foundation.transforms.doppler import SPEED_OF_LIGHT, doppler
from foundation.transforms.impairments import (
    carrier_offset,
    gain_steps,
    iq_imbalance,
    packet_loss,
    phase_noise,
    sampling_offset,
    timing_offset,
)
from foundation.transforms.phase import sanitize
from foundation.transforms.resample import resample_frequency, resample_time
from foundation.transforms.views import amplitude, iq, phase

INTEL = np.array([*range(-28, -1, 2), -1, *range(1, 28, 2), 28]) * 312_500.0


def waves(time_s: np.ndarray, seed: int, highest_hz: float) -> np.ndarray:
    """Sums of sinusoids up to a frequency, [T, 2, 3]: what a band-limited signal is, exactly."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(-highest_hz, highest_hz, (12, 2, 3))
    weight = rng.normal(size=(12, 2, 3)) + 1j * rng.normal(size=(12, 2, 3))
    return np.sum(weight * np.exp(2j * np.pi * frequency * time_s[:, None, None, None]), axis=1)


def error(found: np.ndarray, truth: np.ndarray) -> float:
    """Largest deviation over the largest value."""
    return float(np.max(np.abs(found - truth)) / np.max(np.abs(truth)))


# Resampling in time


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
    imputed = resample_time(signal, 0.01, max_gap_s=0.1)
    assert imputed.mask.all()
    assert error(imputed.values[middle], waves(new.time_s, 2, 15.0)[middle]) < 0.05


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
    """Marked invalid or left out, whatever it would have held: values and mask are the same."""
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
def test_an_interval_that_is_none(interval: float) -> None:
    with pytest.raises(SignalError, match="interval_s"):
        resample_time(make_signal(), interval)


# Resampling in frequency


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


# Phase


def test_the_sanitiser_removes_a_delay_and_a_carrier_phase() -> None:
    signal = two_antennas(reflector(0.0, 0.1), clean=reflector(0.0, 0.1))
    still = sanitize(signal)
    off = sanitize(carrier_offset(timing_offset(signal, 70e-9), 123.4, 0.3))
    assert error(off.values, still.values) < 1e-4
    assert off.clean is not None
    assert error(off.clean, off.values) < 1e-5, "the truth takes the same turn"
    np.testing.assert_allclose(np.abs(off.values), np.abs(signal.values), rtol=1e-5)


def test_a_pure_delay_becomes_flat() -> None:
    delayed = timing_offset(two_antennas(np.full((6, 2, 57), 1j)), np.linspace(-200e-9, 200e-9, 6))
    assert np.ptp(np.angle(delayed.values)) > 6
    assert np.max(np.abs(np.angle(sanitize(delayed).values))) < 1e-4


def test_what_has_no_phase_line() -> None:
    with pytest.raises(SignalError, match="real entries"):
        sanitize(make_signal(values=np.ones((32, 2, 16)), is_real=True))


# Two antennas


def test_the_product_and_the_ratio_cancel_the_clock() -> None:
    signal = two_antennas(reflector(1.0))
    clocked = random_clock(signal, 5)
    own, reference = signal.values[:, 1:], signal.values[:, :1]
    ratio = conjugate_ratio(clocked)
    assert ratio.links == (signal.links[1],)
    assert error(ratio.values, own / reference) < 1e-4
    product = conjugate_product(clocked)
    assert np.max(np.abs(np.angle(product.values * np.conj(own * np.conj(reference))))) < 1e-4
    assert error(conjugate_product(signal, 1).values, reference * np.conj(own)) < 1e-5


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0, 0.9))
def test_a_pair_is_valid_where_both_are(seed: int, share: float) -> None:
    valid = np.random.default_rng(seed).random((32, 2, 16)) >= share
    valid[0] = True
    signal = make_signal(seed, valid=valid)
    both = valid[:, 1:] & valid[:, :1]
    np.testing.assert_array_equal(conjugate_product(signal).mask, both)
    ratio = conjugate_ratio(signal)
    assert not (ratio.mask & ~both).any()
    assert (both & ~ratio.mask).sum() <= 3, "only deep fades of the reference"
    assert np.isfinite(ratio.values).all()


def test_a_fade_of_the_reference_has_no_ratio() -> None:
    signal = make_signal()
    values = signal.values.copy()
    values[3, 0, 4] = 1e-6
    ratio = conjugate_ratio(signal.with_(values=values))
    assert not ratio.mask[3, 0, 4]
    assert np.max(np.abs(ratio.values)) < 1e3


def test_every_transmit_antenna_has_its_own_reference() -> None:
    links = (Link(0, 0), Link(1, 0), Link(0, 1), Link(1, 1))
    signal = make_signal(links=4).with_(links=links)
    product = conjugate_product(signal)
    assert product.links == links[2:]
    assert error(product.values[:, 1], signal.values[:, 3] * np.conj(signal.values[:, 1])) < 1e-5
    with pytest.raises(SignalError, match="antenna 7"):
        conjugate_product(signal, 7)
    with pytest.raises(SignalError, match="transmit antenna 0"):
        conjugate_product(make_signal(links=1))
    with pytest.raises(SignalError, match="is real"):
        conjugate_ratio(make_signal(values=np.ones((32, 2, 16)), is_real=True))


# Views


def test_views_show_what_was_not_measured_as_nan() -> None:
    valid = np.ones((32, 2, 16), bool)
    valid[2, 1, 5] = False
    signal = make_signal(valid=valid)
    for view in (amplitude(signal), amplitude(signal, decibels=True), phase(signal), phase(signal, unwrap=True)):
        assert view.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(view), ~valid)
    parts = iq(signal)
    np.testing.assert_array_equal(parts[valid] @ np.array([1, 1j]), signal.values[valid])
    assert np.isnan(parts[~valid]).all()
    polar = amplitude(signal) * np.exp(1j * phase(signal))
    np.testing.assert_allclose(polar[valid], signal.values[valid], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(10 ** (amplitude(signal, decibels=True) / 20), amplitude(signal), rtol=1e-4)


def test_an_unwrapped_phase_is_the_line_that_it_was() -> None:
    signal = timing_offset(two_antennas(np.ones((2, 2, 57))), 400e-9)
    valid = np.ones(signal.values.shape, bool)
    valid[0, 0, 10] = False
    unwrapped = phase(signal.with_(valid=valid), unwrap=True)
    slope = np.diff(unwrapped[1, 1]) / np.diff(TONES)
    np.testing.assert_allclose(slope, -2 * np.pi * 400e-9, rtol=1e-3)
    np.testing.assert_allclose(np.delete(unwrapped[0, 0] - unwrapped[1, 0], 10), 0, atol=1e-4)


# Doppler


@pytest.mark.parametrize("speed", [-3.0, -0.8, 1.5, 4.0])
@pytest.mark.parametrize(("pair", "step_db"), [(conjugate_product, 0.0), (conjugate_ratio, 2.0)])
def test_a_moving_reflector_shows_its_speed_and_its_direction(
    speed: float, pair: Callable[[Signal], Signal], step_db: float
) -> None:
    clocked = random_clock(two_antennas(reflector(speed)), 7, step_db)
    found = doppler(pair(clocked), window_s=0.5)
    power = found.power[:, 0].mean(axis=0)
    peak = np.argmax(power)
    mirror = len(power) - peak
    if pair is conjugate_product:
        assert power[mirror] == pytest.approx(power[peak], rel=0.01), "both antennas see the same motion"
        peak = max(peak, mirror) if speed > 0 else min(peak, mirror)
    else:
        assert power[mirror] < 0.1 * power[peak]
    assert found.frequency_hz[peak] == pytest.approx(speed * CARRIER / SPEED_OF_LIGHT, abs=1.0)
    assert found.speed_m_s[peak] == pytest.approx(speed, abs=0.06)


def test_the_spectrum_holds_the_power_of_what_moves() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4000, 2, 57)) + 1j * rng.normal(size=(4000, 2, 57))
    found = doppler(two_antennas(5 + noise), window_s=0.4)
    assert np.mean(found.power) == pytest.approx(2 / 500, rel=0.02)
    assert np.mean(found.power) * 500 == pytest.approx(
        np.sum(found.power.mean((0, 1))) * np.diff(found.frequency_hz)[0]
    )


def test_lost_packets_do_not_move_a_line() -> None:
    whole = two_antennas(reflector(2.0))
    lossy = packet_loss(whole, 0.2, 3)
    one, two = (doppler(signal).power[:, 0] for signal in (whole, lossy))
    assert np.argmax(one.mean(0)) == np.argmax(two.mean(0))
    assert two.mean(0).max() == pytest.approx(0.8 * one.mean(0).max(), rel=0.05), "the rest is spread over all shifts"


def test_a_window_that_was_not_measured_is_nan_and_others_do_not_know() -> None:
    whole = two_antennas(reflector(2.0))
    valid = np.ones(whole.values.shape, bool)
    valid[405:695] = False
    found, all_ = doppler(whole.with_(valid=valid), 0.2, 0.1), doppler(whole, 0.2, 0.1)
    dark = np.isnan(found.power).all(axis=(1, 2))
    assert (np.isnan(found.power).any(axis=(1, 2)) == dark).all()
    inside = (found.time_s > 0.85) & (found.time_s < 1.35)
    assert (dark == inside).all()
    clear = (found.time_s < 0.7) | (found.time_s > 1.5)
    np.testing.assert_allclose(found.power[clear], all_.power[clear], rtol=1e-3, atol=1e-6)


def test_doppler_errors() -> None:
    with pytest.raises(SignalError, match="at least 16 packets"):
        doppler(make_signal(times=6))
    with pytest.raises(SignalError, match=r"window_s is 0\.01"):
        doppler(make_signal(), window_s=0.01)
    with pytest.raises(SignalError, match="hop_s"):
        doppler(make_signal(), hop_s=0)
    with pytest.raises(SignalError, match="carrier_hz="):
        _ = doppler(make_signal(carrier_hz=0.0)).speed_m_s


# Impairments


def test_clock_offsets_are_the_formulas_of_their_docstrings() -> None:
    signal = two_antennas(reflector(0.0, 0.2), time_s=3.0 + np.arange(100) / 500)
    time = signal.time_s - 3.0
    turned = carrier_offset(signal, 40.0, 0.5).values / signal.values
    assert error(turned, np.exp(1j * (2 * np.pi * 40 * time + 0.5))[:, None, None]) < 1e-4
    late = timing_offset(signal, 30e-9).values / signal.values
    assert error(late, np.exp(-2j * np.pi * TONES * 30e-9)) < 1e-4
    drift = sampling_offset(signal, 2e-6).values / signal.values
    assert error(drift, np.exp(-2j * np.pi * TONES * 2e-6 * time[:, None, None])) < 1e-4


def test_phase_noise_has_the_variance_of_its_linewidth() -> None:
    signal = make_signal(values=np.ones((20_000, 2, 1)), times=20_000, links=2, responses=1)
    noisy = phase_noise(signal, 0.2, 1)
    steps = np.angle(noisy.values[1:] * np.conj(noisy.values[:-1]))
    assert np.var(steps[:, 0]) == pytest.approx(2 * np.pi * 0.2 * 0.01, rel=0.05)
    np.testing.assert_allclose(steps[:, 0], steps[:, 1], atol=1e-6)


def test_gain_steps_are_steps_within_their_range() -> None:
    signal = make_signal(values=np.ones((5000, 1, 2)), times=5000, links=1, responses=2)
    level = 20 * np.log10(np.abs(gain_steps(signal, 1.5, 0.1, 4, limit_db=6).values[:, 0, 0]))
    steps = np.abs(np.diff(level))
    assert np.isin(np.round(steps / 1.5, 3), (0, 1)).all()
    assert np.mean(steps > 0.1) == pytest.approx(0.09, abs=0.03)
    assert np.max(np.abs(level)) == pytest.approx(6, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0, 1))
def test_lost_packets_are_whole_and_one_is_left(seed: int, share: float) -> None:
    valid = np.random.default_rng(seed).random((32, 2, 16)) > 0.5
    valid[:, 0, 0] = True
    valid[7] = False
    signal = make_signal(seed, valid=valid, clean=np.ones((32, 2, 16)))
    left = packet_loss(signal, share, seed)
    arrived = left.mask.any(axis=(1, 2))
    np.testing.assert_array_equal(left.mask, valid & arrived[:, None, None])
    assert arrived.any()
    assert (left.clean == signal.clean).all()
    if share == 1:
        assert arrived.sum() == 1
    if share == 0:
        assert (left.mask == valid).all()


def test_loss_has_the_share_asked_for() -> None:
    signal = make_signal(times=20_000, links=1, responses=1)
    assert np.mean(~packet_loss(signal, 0.3, 1).mask) == pytest.approx(0.3, abs=0.02)


def test_the_image_of_iq_imbalance() -> None:
    g, p = 10 ** (1 / 20), 0.1
    direct, image = (1 + g * np.exp(-1j * p)) / 2, (1 - g * np.exp(1j * p)) / 2
    samples = np.exp(2j * np.pi * np.arange(64) / 8)[:, None, None]
    base = make_signal(values=samples, times=64, links=1, responses=1, frequency_hz=[0.0], kind="iq")
    assert error(iq_imbalance(base, 1.0, 0.1).values, direct * samples + image * np.conj(samples)) < 1e-5
    i, q = samples.real, g * (samples.imag * np.cos(p) - samples.real * np.sin(p))
    assert error(iq_imbalance(base, 1.0, 0.1).values, i + 1j * q) < 1e-5, "an I branch as it is, a Q branch that is off"
    field = reflector(0.0, 0.02)
    tones = two_antennas(field, clean=field)
    truth = direct * field + image * np.conj(field[:, :, ::-1])
    found = iq_imbalance(tones, 1.0, 0.1)
    assert error(found.values, truth) < 1e-4
    assert found.clean is not None
    assert error(found.clean, truth) < 1e-4
    assert error(iq_imbalance(tones, 0.0, 0.0).values, field) < 1e-6


def test_a_tone_without_a_mirror_has_no_image() -> None:
    valid = np.ones((10, 2, 57), bool)
    valid[:, :, 40] = False
    found = iq_imbalance(two_antennas(reflector(0.0, 0.02), valid=valid), 0.0, 0.5)
    direct = (1 + np.exp(-0.5j)) / 2
    assert error(found.values[:, :, 16], direct * reflector(0.0, 0.02)[:, :, 16]) < 1e-5
    assert (found.mask == valid).all()


REAL = {"values": np.ones((32, 2, 16)), "is_real": True}


@pytest.mark.parametrize(
    ("impair", "changes", "said"),
    [
        (lambda s: carrier_offset(s, 1.0), REAL, "no phase"),
        (lambda s: phase_noise(s, -1.0, 0), {}, "linewidth_hz"),
        (lambda s: timing_offset(s, np.zeros(5)), {}, r"expected one number or \(32,\)"),
        (lambda s: timing_offset(s, 0.0), {"frequency_hz": None, "delay_s": np.arange(16) * 1e-9}, "to_frequency"),
        (lambda s: gain_steps(s, 1.0, 0.1, 0), {**REAL, "kind": "rssi"}, "dBm"),
        (lambda s: gain_steps(s, 1.0, 1.1, 0), {}, "rate"),
        (lambda s: packet_loss(s, 1.5, 0), {}, "share"),
        (lambda s: iq_imbalance(s, 1.0, 0.0), REAL, "IQ imbalance"),
        (phase, REAL, "no phase"),
    ],
)
def test_impairments_refuse(impair: Callable[[Signal], object], changes: dict[str, object], said: str) -> None:
    with pytest.raises(SignalError, match=said):
        impair(make_signal(**changes))  # type: ignore[arg-type]
