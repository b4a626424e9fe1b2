"""Simulated point clouds: they lie where the person is, move as the person does, and have the layout of the reader."""

from __future__ import annotations

import numpy as np
import pytest

from foundation.readers.radar.point_cloud import CELLS, DOPPLER_BINS, PROJECTIONS, Resolution
from foundation.signal import Signal
from foundation.simulate.config import SimulationConfig
from foundation.simulate.corpus.point_cloud import _detected, _Detector, point_clouds
from foundation.simulate.corpus.scenes import Scene, radar_room
from foundation.simulate.people import make_person, move


@pytest.fixture(scope="module")
def windows() -> list[Signal]:
    return [window for session in range(60) for window in point_clouds(np.random.default_rng(session), 0, session)]


def _maps(window: Signal) -> np.ndarray:
    """Power [frames, projection, Doppler, cell]."""
    power = np.asarray(window.values.real, np.float64) ** 2
    return power.reshape(len(window.time_s), len(PROJECTIONS), DOPPLER_BINS, CELLS)


def test_layout_and_labels_are_those_of_a_radar(windows: list[Signal]) -> None:
    assert {window.values.shape[1:] for window in windows} == {(48, 16)}
    assert all(window.is_real and window.kind == "radar" for window in windows)
    assert {"people", "torso_speed"} <= set(windows[0].labels)
    assert len({str(window.labels.get("activity")) for window in windows}) > 12


def test_every_projection_has_the_same_points(windows: list[Signal]) -> None:
    for window in windows[:20]:
        maps = _maps(window).sum(-1)
        np.testing.assert_allclose(maps[:, 0], maps[:, 1], rtol=1e-5)
        np.testing.assert_allclose(maps[:, 0], maps[:, 2], rtol=1e-5)


def _velocities(activity: str, resolution: Resolution) -> tuple[np.ndarray, np.ndarray]:
    """Of many people: mean speed of the detected points, and the speed at which their distance grows."""
    rng, config = np.random.default_rng(1), SimulationConfig(times=30, interval_s=0.1)
    sharp = _Detector(points=60, spurious=0, body_m=0.02, azimuth=0, elevation=0, moving_only=False)
    shown, grown = [], []
    for index in range(20):
        room = radar_room(rng, 0, index, 77e9, 1, 1)
        points, rcs = move(rng, [activity], make_person(0, index), room.size_m, config)
        scene = Scene([(points[0], rcs[0])], {})
        found, velocity, _, row = _detected(rng, scene, room.tx_m[0], 0.0, resolution, sharp, 0.1, 30)
        shown.append(velocity[1:].mean())  # the first is of nothing
        grown.append(np.polyfit(row[1:] * 0.1, np.linalg.norm(found[1:], axis=1), 1)[0])
    return np.array(shown), np.array(grown)


def test_points_move_away_at_the_speed_that_they_show() -> None:
    shown, grown = _velocities("walk", Resolution(0.1, 0.3, 6))
    assert np.corrcoef(shown, grown)[0, 1] > 0.9
    assert 0.7 < np.polyfit(grown, shown, 1)[0] < 1.3


def test_a_still_person_has_no_doppler() -> None:
    assert np.abs(_velocities("still", Resolution(0.1, 0.3, 6))[0]).max() < 0.05
