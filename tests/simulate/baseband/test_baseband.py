"""Baseband tasks: physics of the waveforms, the channel and the front ends, and splits that cut no session."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foundation.data.shards.spec import split_problems
from foundation.errors import RecipeError
from foundation.simulate.baseband import front_end, modulation, transmitters
from foundation.simulate.baseband.channel import GUARD, Channel, ChannelRanges, draw_channel, received
from foundation.simulate.baseband.linear import SPAN, pam, psk, qam, root_raised_cosine, shaped
from foundation.simulate.baseband.waveforms import (
    CPFSK_INDEX,
    DEVIATION_HZ,
    GFSK_INDEX,
    MODULATIONS,
    RATE_HZ,
    SAMPLES_PER_SYMBOL,
    VOICE_HZ,
    transmitted,
    voice,
)

#: One path, no fading, no offset.
CLEAR = Channel(np.zeros(1), np.ones(1), rician=1e9, doppler_hz=0.0, offset_hz=0.0, rate_ppm=0.0)
CONSTANT = ("CPFSK", "GFSK", "WBFM")


@pytest.mark.parametrize("points", [psk(2), psk(4), psk(8), pam(4), qam(16), qam(64)], ids=len)
def test_constellations_have_mean_power_one_and_no_mean(points: np.ndarray) -> None:
    assert np.mean(np.abs(points) ** 2) == pytest.approx(1)
    assert abs(points.mean()) < 1e-12
    assert len(set(np.round(points, 9))) == len(points)


def test_constellations_and_pulse_are_those_of_sionna() -> None:
    mapping = pytest.importorskip("sionna.phy.mapping", reason="compares with sionna, which is not installed")
    signal = pytest.importorskip("sionna.phy.signal")
    for points, kind, bits in ((psk(4), "qam", 2), (qam(16), "qam", 4), (qam(64), "qam", 6), (pam(4), "pam", 2)):
        theirs = mapping.Constellation(kind, bits).points.numpy()
        assert np.abs(points[:, None] - theirs).min(axis=1).max() < 1e-6
    theirs = signal.RootRaisedCosineFilter(8, 8, 0.35).coefficients.numpy()
    ours = root_raised_cosine(np.arange(-32, 33) / 8, 0.35)
    np.testing.assert_allclose(ours / ours.max(), theirs / theirs.max(), atol=1e-5)


def test_a_matched_filter_finds_the_symbols() -> None:
    rng, per_symbol = np.random.default_rng(0), 8
    sent = shaped(rng, psk(4), 4000, per_symbol, 0.35)
    pulse = root_raised_cosine(np.arange(-SPAN * per_symbol, SPAN * per_symbol + 1) / per_symbol, 0.35) / per_symbol
    matched = np.convolve(sent, pulse, mode="valid")
    errors = [np.abs(matched[phase::per_symbol, None] - psk(4)).min(axis=1).mean() for phase in range(per_symbol)]
    assert min(errors) < 0.05 < max(errors), "symbols lie on the constellation at one sampling phase only"


@pytest.mark.parametrize("name", MODULATIONS)
def test_modulations_have_the_power_and_the_envelope_of_their_kind(name: str) -> None:
    sent = transmitted(np.random.default_rng(1), name, 40_000)
    assert np.mean(np.abs(sent) ** 2) == pytest.approx(1.09 if name == "AM-DSB" else 1, rel=0.1)
    assert (np.abs(sent).std() < 1e-9) == (name in CONSTANT)


def test_frequencies_are_those_of_the_modulation() -> None:
    rng = np.random.default_rng(2)
    turns = {name: np.angle(s[1:] * s[:-1].conj()) for name in CONSTANT for s in [transmitted(rng, name, 40_000)]}
    np.testing.assert_allclose(np.abs(turns["CPFSK"]), np.pi * CPFSK_INDEX / SAMPLES_PER_SYMBOL)
    assert np.abs(turns["GFSK"]).max() == pytest.approx(np.pi * GFSK_INDEX / SAMPLES_PER_SYMBOL, rel=1e-3)
    assert np.abs(turns["GFSK"]).min() < 0.2 * np.abs(turns["GFSK"]).max(), "frequency passes through 0 smoothly"
    assert turns["WBFM"].std() * RATE_HZ / (2 * np.pi) == pytest.approx(0.3 * DEVIATION_HZ, rel=0.1)
    spectrum = np.abs(np.fft.fft(transmitted(rng, "AM-SSB", 40_000))) ** 2
    frequency = np.fft.fftfreq(40_000, 1 / RATE_HZ)
    assert spectrum[frequency < 0].sum() < 1e-3 * spectrum.sum(), "one sideband"
    power = np.abs(np.fft.rfft(voice(rng, 40_000))) ** 2
    inside = (np.fft.rfftfreq(40_000, 1 / RATE_HZ) > 0.8 * VOICE_HZ[0]) & (frequency[:20_001] < 1.2 * VOICE_HZ[1])
    assert power[inside].sum() > 0.95 * power.sum()


def test_the_carrier_offset_is_recovered() -> None:
    tone = np.ones(2000 + 2 * GUARD, np.complex128)
    heard = received(np.random.default_rng(3), tone, replace(CLEAR, offset_hz=-437.0), 200e3)
    turn = np.unwrap(np.angle(heard))
    assert np.polyfit(np.arange(2000) / 200e3, turn / (2 * np.pi), 1)[0] == pytest.approx(-437, abs=2)


def test_the_sampling_clock_stretches_time_and_interpolation_is_accurate() -> None:
    time = np.arange(4000 + 2 * GUARD)
    tone = np.exp(2j * np.pi * 0.1 * time)
    heard = received(np.random.default_rng(4), tone, replace(CLEAR, rate_ppm=500.0), 200e3)
    turn = np.unwrap(np.angle(heard)) / (2 * np.pi)
    assert np.polyfit(np.arange(4000), turn, 1)[0] == pytest.approx(0.1 * (1 + 500e-6), abs=5e-7)
    assert np.abs(np.abs(heard) - 1).max() < 2e-3


def test_fading_has_mean_power_one_and_selects_frequencies() -> None:
    rng = np.random.default_rng(5)
    ranges = ChannelRanges((3.0, 3.0), (1.0, 1.0), (0.0, 0.0), (50.0, 50.0), (0.0, 0.0))
    power = []
    for _ in range(400):
        channel = draw_channel(rng, ranges, 0.0)
        low, high = (
            np.mean(np.abs(received(rng, np.exp(2j * np.pi * f * np.arange(64 + 2 * GUARD)), channel, 200e3)) ** 2)
            for f in (0.0, 0.15)
        )
        power.append((low, high))
    assert np.mean(power) == pytest.approx(1, abs=0.15)
    assert abs(np.corrcoef(np.transpose(power))[0, 1]) < 0.7


@pytest.fixture(scope="module")
def windows() -> list:
    return list(modulation.simulate_modulation(modulation.ENOUGH, 7))


def test_snr_is_the_one_asked_for(windows: list) -> None:
    asked = sorted({each.labels["snr"] for each in windows})
    assert asked[0] == -20 < 16 <= asked[-1]
    for snr in asked:
        own = [each for each in windows if each.labels["snr"] == snr]
        noise = np.mean([np.mean(np.abs(each.values - each.clean) ** 2) for each in own])
        signal = np.mean([np.mean(np.abs(each.clean) ** 2) for each in own])
        assert 10 * np.log10(signal / noise) == pytest.approx(snr, abs=0.5)
    assert all(np.mean(np.abs(each.values) ** 2) == pytest.approx(1, rel=1e-5) for each in windows)


def test_the_modulation_splits_share_no_session_and_every_channel_sends_everything(windows: list) -> None:
    splits = modulation.modulation_splits(modulation.ENOUGH)
    sessions = {each.session for each in windows}
    assert split_problems(splits, sessions) == []
    assert set(splits["channel"]["train"]) == set(splits["draw"]["train"])
    for session in sessions:
        sent = [each.labels["modulation"] for each in windows if each.session == session]
        assert sorted(sent) == sorted(MODULATIONS * 2)
    where = {each.session: each.environment for each in windows}
    assert {where[name] for part, names in splits["draw"].items() for name in names} == {"weak echoes"}
    assert {where[n] for part, names in splits["channel"].items() if "test" in part for n in names} == {"strong echoes"}
    long = modulation.modulation_splits(200 * modulation.WINDOWS)
    for parts in long.values():
        heard = {modulation.snr_of(int(name[-5:])) for part in parts if "test" in part for name in parts[part]}
        assert heard == set(modulation.SNRS_DB)


def test_windows_depend_on_seed_and_number_alone(windows: list) -> None:
    part = list(modulation.simulate_modulation(30, 7, first=35))
    for ours, theirs in zip(part, windows[35:65], strict=True):
        np.testing.assert_array_equal(ours.values, theirs.values)
        assert ours.labels == theirs.labels
    other = next(modulation.simulate_modulation(1, 8))
    assert not np.allclose(other.values, windows[0].values)


def test_too_small_sets_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"leaves .* without a session; request 660 or more"):
        modulation.modulation_splits(100)
    with pytest.raises(RecipeError, match=r"leaves .* without a session; request 1920 or more"):
        transmitters.transmitter_splits(100)
    with pytest.raises(RecipeError, match="count is -1"):
        modulation.simulate_modulation(-1, 0)


def test_the_front_end_images_leaks_and_compresses() -> None:
    time = np.arange(1000)
    tone = np.exp(2j * np.pi * 0.1 * time)
    imbalance = 10 ** (0.5 / 20) * np.exp(1j * np.deg2rad(3))
    spectrum = np.abs(np.fft.fft(front_end.mix(tone, imbalance))) / 1000
    assert spectrum[900] / spectrum[100] == pytest.approx(abs(1 - imbalance) / abs(1 + imbalance), rel=1e-6)
    radio = replace(front_end.make_front_end(0, 0), imbalance=1 + 0j, leakage=0.1j, linewidth_hz=0.0, turn_rad=0.0)
    weak = front_end.emitted(np.random.default_rng(0), 1e-3 * tone, radio, 5e6)
    assert abs(weak.mean()) == pytest.approx(0.1, rel=0.02), "carrier leakage"
    strong = front_end.amplify(1e3 * tone, radio)
    np.testing.assert_allclose(np.abs(strong), radio.saturation, rtol=1e-3)
    small = 1e-3 * tone
    np.testing.assert_allclose(front_end.amplify(small, radio), small, rtol=1e-3)
    turned = front_end.amplify(1e3 * tone, replace(radio, turn_rad=0.4))
    np.testing.assert_allclose(np.angle(turned / strong), 0.4, rtol=1e-3)


def test_a_transmitter_keeps_its_front_end_and_its_oscillator_follows_the_temperature() -> None:
    assert front_end.make_front_end(3, 5) == front_end.make_front_end(3, 5) != front_end.make_front_end(3, 6)
    radio = replace(front_end.make_front_end(3, 5), offset_ppm=10.0, drift_ppm_per_k=0.2)
    assert front_end.carrier_offset(radio, 25.0, 1e9) == pytest.approx(10e3)
    assert front_end.carrier_offset(radio, 15.0, 1e9) == pytest.approx(8e3)
    shift = [[transmitters.offset_of(3, day, tx) for tx in range(12)] for day in range(5)]
    spread, between = np.std(shift[0]), np.std(np.subtract(shift[4], shift[0]))
    assert 0.05 * spread < between < spread, "offsets tell transmitters apart, less so from day to day"


def test_the_preamble_tells_the_carrier_offset_of_each_transmitter() -> None:
    known = transmitters.preamble()[GUARD:-GUARD]
    signals = list(transmitters.simulate_transmitters(12 * transmitters.WINDOWS, 1))
    block = 32  # samples, after which the phase is still unambiguous
    for number in range(12):
        own = [each.clean[:, 0, 0] * known.conj() for each in signals[number * 8 : number * 8 + 8]]
        sums = np.stack(own).reshape(8, -1, block).sum(axis=2)
        turn = np.angle((sums[:, 1:] * sums[:, :-1].conj()).sum())
        found = turn / (2 * np.pi) * transmitters.RATE_HZ / block
        assert found == pytest.approx(transmitters.offset_of(1, 0, number), abs=3e3), "20 ppm are 49 kHz"


def test_the_days_share_no_session_and_every_day_hears_every_transmitter() -> None:
    splits = transmitters.transmitter_splits(transmitters.ENOUGH)
    signals = list(transmitters.simulate_transmitters(transmitters.ENOUGH // 4, 1))
    assert split_problems(splits) == []
    assert set(splits["day"]["train"]) == set(splits["recording"]["train"])
    heard = {(each.environment, each.labels["transmitter"]) for each in signals}
    assert len(heard) == 5 * 12
    assert {name[:5] for name in splits["day"]["test"]} == {"day-5"}
    assert {name[:5] for name in splits["recording"]["test"]} == {"day-1", "day-2", "day-3"}
    snr = [np.mean(np.abs(s.clean) ** 2) / np.mean(np.abs(s.values - s.clean) ** 2) for s in signals]
    assert 14 < 10 * np.log10(min(snr)) < 10 * np.log10(max(snr)) < 31
