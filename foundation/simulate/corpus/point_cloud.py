"""Point clouds that the detector of an FMCW radar would report of moving people, as maps of velocity.

The layout is that of `foundation.readers.radar.point_cloud`. Points lie on chest, arms and legs of each person, more of
them where the echo is strong; angles are coarse, those of elevation the most, as of a few antennas; some points are of
nothing (multipath, noise), and a radar may remove what does not move.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation.readers.radar.point_cloud import CELLS, STILL, Resolution, point_cloud_signal
from foundation.signal import Signal
from foundation.simulate.corpus.draw import log_uniform
from foundation.simulate.corpus.rays import steps
from foundation.simulate.corpus.scenes import Scene, radar_room, scenes
from foundation.simulate.rooms import Array

_CARRIER_HZ = 77e9
#: Fewer frames would be cut into small patches, which are many; a movement of the body takes one to three seconds.
_FRAMES, _RATE_HZ = (20, 32), (8.0, 30.0)
#: Pairs of scatterers (`foundation.simulate.people`) with a part of the body between them, and its share of the points.
_BODY = ((0, 1, 0.4), (0, 2, 0.15), (1, 3, 0.15), (0, 4, 0.15), (1, 5, 0.15))


class _Detector(NamedTuple):
    """What a recording's radar reports: mean points of a person and frame at 2 m, of nothing in a frame; deviations of
    positions on the body (m), azimuth and elevation (rad); whether still points are removed."""

    points: float
    spurious: float
    body_m: float
    azimuth: float
    elevation: float
    moving_only: bool


def point_clouds(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    """Windows of one recording."""
    frames, frame_s = int(rng.integers(*_FRAMES, endpoint=True)), 1 / log_uniform(rng, *_RATE_HZ)
    room = radar_room(rng, seed, session, _CARRIER_HZ, 1, 1)
    cell_m = rng.uniform(0.18, 0.4)
    per_cell = int(rng.integers(4, 10))
    resolution = Resolution(cell_m / per_cell, log_uniform(rng, 0.25, 0.7), per_cell)
    detector = _Detector(
        log_uniform(rng, 8, 80),
        rng.uniform(0, 2),
        rng.uniform(0.03, 0.12),
        float(np.deg2rad(rng.uniform(1, 8))),
        float(np.deg2rad(rng.uniform(4, 15))),
        rng.random() < 0.5,
    )
    ahead = room.size_m[:2] / 2 - room.tx_m[0, :2]  # it looks into the middle of the room, more or less
    facing = np.arctan2(ahead[1], ahead[0]) + rng.uniform(-0.3, 0.3)
    signals = []
    for scene in scenes(rng, seed, room, frames, frame_s):
        cloud = _detected(rng, scene, room.tx_m[0], facing, resolution, detector, frame_s, frames)
        time_s = steps(frames, frame_s)
        signal = point_cloud_signal(*cloud, time_s, resolution, "simulated")
        signals.append(signal.with_(labels=scene.labels, device=""))
    return signals


def _detected(
    rng: np.random.Generator,
    scene: Scene,
    radar_m: Array,
    facing: float,
    resolution: Resolution,
    detector: _Detector,
    frame_s: float,
    frames: int,
) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Positions [P, 3] (ahead, aside, up, from the radar), velocities, powers and frames of points."""
    most = CELLS * resolution.cell_m
    fastest = (STILL - 1) * resolution.velocity_m_s
    parts = [_spurious(rng, detector, most, fastest, frames)]
    turn = np.array([[np.cos(facing), np.sin(facing), 0], [-np.sin(facing), np.cos(facing), 0], [0, 0, 1]])
    for body, rcs in scene.people:
        own = np.einsum("ij,jst->ist", turn, body - radar_m[:, None, None])
        speed = np.gradient(np.linalg.norm(own, axis=0), frame_s, axis=-1)
        parts.append(_of_person(rng, own, speed, float(rcs.sum()), detector, frames))
    points, velocity, power, row = (np.concatenate(each) for each in zip(*parts, strict=True))
    away = np.linalg.norm(points, axis=1)
    azimuth = np.arctan2(points[:, 1], points[:, 0]) + rng.normal(0, detector.azimuth, len(points))
    elevation = np.arcsin(np.clip(points[:, 2] / away, -1, 1)) + rng.normal(0, detector.elevation, len(points))
    level = away * np.cos(elevation)
    points = np.stack([level * np.cos(azimuth), level * np.sin(azimuth), away * np.sin(elevation)], axis=1)
    step = np.round(velocity / resolution.velocity_m_s)
    seen = (away < most) & (np.abs(step) < STILL)
    if detector.moving_only:
        seen &= step != 0
    seen[0] = True  # a recording without a single point is none
    return points[seen], (step * resolution.velocity_m_s)[seen], power[seen], row[seen]


def _of_person(
    rng: np.random.Generator, body: Array, speed: Array, rcs: float, detector: _Detector, frames: int
) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Points between scatterers `body` [3, S, T] with radial velocities `speed` [S, T]."""
    away = np.linalg.norm(body[:, :2].mean(axis=1), axis=0).clip(min=0.3)
    count = rng.poisson(detector.points * rcs / 4 * np.minimum(4.0, (2 / away) ** 2))
    row = np.repeat(np.arange(frames), count)
    part = rng.choice(len(_BODY), len(row), p=[share for *_, share in _BODY])
    first, second = (np.array([each[end] for each in _BODY])[part] for end in (0, 1))
    along = rng.random(len(row))
    points = (1 - along) * body[:, first, row] + along * body[:, second, row]
    velocity = (1 - along) * speed[first, row] + along * speed[second, row]
    points = points.T + rng.normal(0, detector.body_m, (len(row), 3))
    return points, velocity, rcs * rng.exponential(1.0, len(row)) / away[row] ** 4, row


def _spurious(
    rng: np.random.Generator, detector: _Detector, most_m: float, fastest: float, frames: int
) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Points of nothing, anywhere in front of the radar; one at least."""
    count = rng.poisson(detector.spurious, frames)
    count[0] = max(1, count[0])
    row = np.repeat(np.arange(frames), count)
    away = rng.uniform(0.3, most_m, len(row))
    azimuth, elevation = rng.uniform(-1, 1, len(row)), rng.uniform(-0.5, 0.5, len(row))
    level = away * np.cos(elevation)
    points = np.stack([level * np.cos(azimuth), level * np.sin(azimuth), away * np.sin(elevation)], axis=1)
    return points, rng.uniform(-fastest, fastest, len(row)), rng.exponential(1.0, len(row)) / most_m**4, row
