"""Recordings are cut as the training windows were: the same samples where the rate is theirs, resampled where not."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.data.windows import WindowShape
from foundation.errors import SignalError
from foundation.models.config import DEFAULT_VIEWS
from foundation.signal import Signal

SHAPE = WindowShape.of([make_signal(k) for k in range(3)])  # 32 samples at 100 a second


def _wave(rate_hz: float, seconds: float, **changes: object) -> Signal:
    """A link whose amplitude swings three times a second, and whose phase is random in every packet."""
    times = np.arange(round(rate_hz * seconds)) / rate_hz
    turn = np.exp(2j * np.pi * np.random.default_rng(0).random((len(times), 1, 1)))
    values = (2 + np.sin(2 * np.pi * 3 * times))[:, None, None] * turn * np.ones((1, 2, 16))
    return make_signal(times=len(times), values=values.astype(np.complex64), time_s=times, **changes)


def test_the_shape_is_that_of_most_windows() -> None:
    shape = WindowShape.of([make_signal(0), make_signal(1), make_signal(2, times=20, bandwidth_hz=40e6)])
    assert (shape.length, shape.bandwidths_hz) == (32, (20e6, 40e6))
    assert shape.interval_s == pytest.approx(0.01)
    assert shape.longest_s == pytest.approx(0.31)
    assert WindowShape.model_validate_json(shape.model_dump_json()) == shape


@pytest.mark.parametrize(("hop_s", "starts"), [(None, [0.0, 0.32, 0.64]), (0.25, [0.0, 0.25, 0.5])])
def test_the_same_rate_is_cut_by_samples(hop_s: float | None, starts: list[float]) -> None:
    recording = make_signal(times=100)
    cuts = SHAPE.cut(recording, DEFAULT_VIEWS, hop_s)
    assert [cut.start_s for cut in cuts] == pytest.approx(starts)
    assert all(cut.end_s - cut.start_s == pytest.approx(0.32) for cut in cuts)
    assert np.array_equal(cuts[1].window.values, recording.values[round(100 * starts[1]) :][:32])


@pytest.mark.parametrize("rate_hz", [50.0, 250.0])
def test_another_rate_is_resampled_in_seconds(rate_hz: float) -> None:
    """The phase is random, so that the complex field cannot be interpolated; the amplitude, which is read, can."""
    first, second, *_ = SHAPE.cut(_wave(rate_hz, 2.0), DEFAULT_VIEWS | {"csi": "log-amplitude"})
    assert first.window.values.shape == (32, 2, 16)
    assert second.start_s == pytest.approx(0.32)
    expected = 2 + np.sin(2 * np.pi * 3 * (0.32 + np.arange(32) / 100))
    assert np.abs(np.abs(second.window.values[:, 0, 0]) - expected).max() < 0.05


def test_windows_over_a_gap_are_left_out() -> None:
    recording = make_signal(times=96)
    late = recording.with_(time_s=recording.time_s + 5.0 * (np.arange(96) >= 40))
    with pytest.warns(UserWarning, match="1 windows with gaps are left out"):
        cuts = SHAPE.cut(late, DEFAULT_VIEWS)
    assert [cut.start_s for cut in cuts] == pytest.approx([0.0, 5.64])


@pytest.mark.parametrize(
    ("recording", "hop_s", "said"),
    [
        (
            make_signal(times=31),
            None,
            "has 31 times in 0.3 s, fewer than one window of 32 samples",
        ),
        (_wave(20.0, 60.0), None, "has 20 samples a second and the training windows had 100; give a recording of 25"),
        (make_signal(times=64), 0.001, "the hop between windows is 0.001 s; expected 0.01 s at least"),
        (make_signal(times=64), float("nan"), "the hop between windows is nan s"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(recording: Signal, hop_s: float | None, said: str) -> None:
    with pytest.raises(SignalError, match=said):
        SHAPE.cut(recording, DEFAULT_VIEWS, hop_s)


def test_single_snapshots_are_windows_of_one_sample() -> None:
    shape = WindowShape.of([make_signal(k, times=1) for k in range(3)])
    cuts = shape.cut(make_signal(times=5), DEFAULT_VIEWS)
    assert [len(cut.window.time_s) for cut in cuts] == [1] * 5
    with pytest.raises(SignalError, match="a window is one sample"):
        shape.cut(make_signal(times=5), DEFAULT_VIEWS, 0.5)
