"""Features of a line of antennas, on channels whose delays and angles are known."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.errors import SignalError
from foundation.evaluate.baselines.features import hand_features
from foundation.signal import Link, Signal


def channel(paths: dict[tuple[float, int], float]) -> Signal:
    """32 antennas and 32 subcarriers; `paths` maps (beam, tap) to amplitudes."""
    n = np.arange(32)
    values = sum(
        amplitude * np.exp(2j * np.pi * n * beam / 32)[:, None] * np.exp(-2j * np.pi * n * tap / 32)
        for (beam, tap), amplitude in paths.items()
    )
    links = tuple(Link(tx=k) for k in range(32))
    return make_signal(times=1, links=32, responses=32, kind="channel").with_(
        values=np.array(values)[None], links=links
    )


def test_the_66_numbers_are_power_delays_angles_and_spread() -> None:
    found = hand_features(channel({(5, 3): 2.0, (20, 4): 1.0}), "array")
    assert len(found) == 66
    power, delays, angles, spread = found[0], np.exp(found[1:33]), np.exp(found[33:65]), np.exp(found[65])
    assert power == pytest.approx(np.log(5))
    assert delays.argmax() in (3, 29), "of either sign"
    np.testing.assert_allclose(angles[:2], [0.8, 0.2], rtol=1e-4)
    assert np.all(np.diff(angles) <= 0)
    assert spread == pytest.approx(1 - abs(0.8 + 0.2 * np.exp(2j * np.pi / 32)), rel=1e-3)


def test_only_the_power_knows_the_gain_and_only_angle_the_direction() -> None:
    one, turned = channel({(5, 3): 2.0, (20, 4): 1.0}), channel({(9, 3): 2.0, (24, 4): 1.0})
    louder = hand_features(one.with_(values=10 * one.values), "array") - hand_features(one, "array")
    np.testing.assert_allclose(louder, [np.log(100), *[0] * 65], atol=1e-3)
    np.testing.assert_allclose(hand_features(one, "array"), hand_features(turned, "array"), atol=1e-2)
    assert [hand_features(each, "angle").argmax() for each in (one, turned)] == [10, 18]


@pytest.mark.parametrize("name", ["array", "angle"])
def test_other_signals_say_why_they_have_none(name: str) -> None:
    with pytest.raises(SignalError, match="several antennas at one end; this is of kind csi, with 1 x 1 antennas"):
        hand_features(make_signal(links=1), name)
    silent = channel({(0, 0): 1.0})
    with pytest.raises(SignalError, match="every measured value is 0"):
        hand_features(silent.with_(values=np.zeros((1, 32, 32))), name)
