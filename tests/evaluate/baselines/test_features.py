"""Hand-crafted features on signals whose features are known."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.errors import SignalError
from foundation.evaluate.baselines.delay_features import DELAY_STATISTICS
from foundation.evaluate.baselines.features import FEATURES, feature_rows, hand_features
from foundation.signal import Link, Signal

STEP_S = 1e-9


def impulse_response(paths: dict[int, float], times: int = 4, noise: float = 1e-3, **changes: object) -> Signal:
    """A UWB response of 300 taps of 1 ns, delay 0 at tap 40; `paths` maps nanoseconds after it to amplitudes."""
    rng = np.random.default_rng(0)
    values = noise * (rng.standard_normal((times, 1, 300)) + 1j * rng.standard_normal((times, 1, 300)))
    for delay, amplitude in paths.items():
        values[:, 0, 40 + delay] += amplitude
    fields = {"delay_s": (np.arange(300) - 40) * STEP_S, "frequency_hz": None, "kind": "cir", "links": (Link(),)}
    return make_signal(times=times).with_(values=values, valid=None, **(fields | changes))


@pytest.mark.parametrize("name", [name for name in FEATURES if name != "delay"])
def test_what_is_invalid_is_never_read(name: str) -> None:
    signal = make_signal(links=3)
    valid = np.ones(signal.values.shape, bool)
    valid[5:9] = False  # lost packets
    valid[:, 0, 3] = False  # a null subcarrier
    valid[:, 2] = False  # a dead antenna
    zeros = hand_features(signal.with_(valid=valid), name)
    absurd = hand_features(signal.with_(values=np.where(valid, signal.values, -1000), valid=valid), name)
    assert np.all(np.isfinite(zeros))
    assert zeros.shape == hand_features(signal, name).shape
    np.testing.assert_array_equal(zeros, absurd)


def test_amplitude_is_the_mean_and_deviation_of_the_measured_entries() -> None:
    signal = make_signal()
    valid = signal.mask.copy()
    valid[:10, 1, 4] = False
    vector = hand_features(signal.with_(valid=valid), "amplitude").reshape(2, 2, 16)
    seen = np.abs(signal.values[10:, 1, 4]).astype(np.float64)
    np.testing.assert_allclose(vector[:, 1, 4], [seen.mean(), seen.std()], rtol=1e-12)


def test_invariant_features_ignore_gain_and_log_amplitude_ignores_the_gain_of_each_packet() -> None:
    signal = make_signal()
    louder = signal.with_(values=signal.values * 7)
    np.testing.assert_allclose(hand_features(louder, "invariant"), hand_features(signal, "invariant"), rtol=1e-4)
    gains = np.linspace(0.5, 2, 32)[:, None, None]
    wobbling = signal.with_(values=signal.values * gains)
    np.testing.assert_allclose(
        hand_features(wobbling, "log-amplitude"), hand_features(signal, "log-amplitude"), atol=1e-5
    )
    assert not np.allclose(hand_features(louder, "level"), hand_features(signal, "level"))


def test_invariant_features_follow_the_recipe() -> None:
    signal = make_signal(times=9, links=1, responses=4)
    amplitude = np.abs(signal.values[:, 0]).astype(np.float64)
    amplitude /= np.sqrt((amplitude**2).mean())
    expected = np.concatenate(
        [
            np.diff(amplitude.mean(axis=0)),
            np.log(amplitude.std(axis=0)),
            np.log(np.diff(amplitude, axis=0).std(axis=0)),
            amplitude[6:].mean(axis=0) - amplitude[:3].mean(axis=0),
        ]
    )
    np.testing.assert_allclose(hand_features(signal, "invariant"), expected, rtol=1e-4)


def test_doppler_peaks_at_the_rate_of_change_and_ignores_the_static_response() -> None:
    time = np.arange(64) / 100
    static = np.linspace(1, 3, 16)
    values = static * np.exp(0.2 * np.sin(2 * np.pi * 12.5 * time))[:, None, None]
    signal = make_signal(times=64, links=1).with_(values=values, valid=None)
    vector = hand_features(signal, "doppler")
    assert len(vector) == 32
    assert np.argmax(vector) + 1 == 8  # 12.5 Hz in bins of 100 / 64 Hz
    flat = hand_features(signal.with_(values=values / static), "doppler")
    np.testing.assert_allclose(vector, flat, atol=1e-2)


def test_delay_statistics_of_two_known_paths() -> None:
    values = dict(zip(DELAY_STATISTICS, hand_features(impulse_response({0: 1.0, 20: 2.0}), "delay"), strict=True))
    assert values["rise time, ns"] == 20
    assert values["mean excess delay, ns"] == pytest.approx(16, abs=0.1)  # (1 * 0 + 4 * 20) / 5
    assert values["rms delay spread, ns"] == pytest.approx(8, abs=0.1)  # sqrt(4 * 20^2 / 5 - 16^2)
    assert values["first path to peak, dB"] == pytest.approx(-6.02, abs=0.1)
    assert values["first path to energy, dB"] == pytest.approx(-6.99, abs=0.1)
    assert values["log energy"] == pytest.approx(np.log(5), abs=0.01)
    assert values["log noise"] == pytest.approx(np.log(2e-6), abs=0.3)


def test_delay_statistics_find_the_first_path_where_the_axis_does_not_tell_and_skip_invalid_taps() -> None:
    told = impulse_response({0: 1.0, 20: 2.0})
    searched = told.with_(delay_s=np.arange(300) * STEP_S)
    np.testing.assert_allclose(hand_features(searched, "delay")[2:9], hand_features(told, "delay")[2:9], rtol=1e-3)
    valid = told.mask.copy()
    valid[1, 0, :] = False
    valid[2, 0, 70:80] = False
    spoilt = told.with_(values=np.where(valid, told.values, 1e6), valid=valid)
    np.testing.assert_allclose(hand_features(spoilt, "delay")[2:7], hand_features(told, "delay")[2:7], rtol=0.01)


def test_features_that_cannot_be_had_say_why() -> None:
    with pytest.raises(SignalError, match="no features named 'nonsense'"):
        hand_features(make_signal(), "nonsense")
    with pytest.raises(SignalError, match="delay-domain"):
        hand_features(make_signal(), "delay")
    with pytest.raises(SignalError, match="every measured value is 0"):
        hand_features(make_signal().with_(values=np.zeros((32, 2, 16))), "invariant")
    with pytest.raises(SignalError, match="at least 2 times"):
        hand_features(make_signal(times=1), "doppler")


def test_rows_name_the_recording_that_does_not_fit() -> None:
    assert feature_rows([make_signal(0, times=20), make_signal(1, times=32)], "invariant").shape == (
        2,
        2 * (4 * 16 - 1),
    )
    with pytest.raises(SignalError, match="'a' has 32 times x 2 links x 16 responses, session 'b' 20 times"):
        feature_rows([make_signal(session="a"), make_signal(session="b", times=20)], "doppler")
    with pytest.raises(SignalError, match="session 'b' 32 times x 3 links"):
        feature_rows([make_signal(session="a"), make_signal(session="b", links=3)], "amplitude")
    silent = make_signal(session="b").with_(values=np.zeros((32, 2, 16)))
    with pytest.raises(SignalError, match=r"session 'b': .*every measured value is 0"):
        feature_rows([make_signal(session="a"), silent], "invariant")
