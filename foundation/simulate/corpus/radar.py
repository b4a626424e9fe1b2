"""FMCW radar in a room with moving people: range-Doppler maps and chirp samples; and point clouds.

The layout of chirps is that of `foundation.readers.radar.dca1000`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foundation.signal import SPEED_OF_LIGHT, Label, Link, Signal
from foundation.simulate.channel import clutter_paths
from foundation.simulate.corpus.draw import draw_sizes, log_uniform
from foundation.simulate.corpus.point_cloud import point_clouds
from foundation.simulate.corpus.rays import (
    Rays,
    add_noise,
    bounces,
    frequency_response,
    main_lobe,
    phasors,
    steps,
    uniform,
)
from foundation.simulate.corpus.scenes import radar_room, scenes
from foundation.simulate.rooms import Array, Room

_CARRIERS_HZ = ((24.0e9, 24.25e9), (57e9, 64e9), (76e9, 77e9), (5.8e9, 77e9))


def radar(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    """Windows of one recording, as range-Doppler maps, as chirps or as point clouds."""
    carrier = float(rng.uniform(*_CARRIERS_HZ[rng.integers(len(_CARRIERS_HZ))]))
    form = rng.random()
    if form < 0.35:
        return point_clouds(rng, seed, session)
    return (_fields if form < 0.8 else _chirps)(rng, seed, session, carrier)


def _fields(rng: np.random.Generator, seed: int, session: int, carrier: float) -> list[Signal]:
    """Range-Doppler magnitudes [frames, Doppler bins, range cells], real; in some sessions only detections."""
    sizes = draw_sizes(rng, (8, 64), (1, 1), (4, 32), (8, 64))
    room = radar_room(rng, seed, session, carrier, 1, 1)
    frame_s, speed_bin = 1 / rng.uniform(5, 30), rng.uniform(2, 8) / sizes.rx
    cell_m = float(np.linalg.norm(room.size_m[:2])) * rng.uniform(0.8, 1.2) / sizes.responses
    removed, points_only, snr = rng.random() < 0.5, rng.random() < 0.5, rng.uniform(5, 30)
    signals = []
    for rays, labels in _windows(rng, seed, room, carrier, sizes.times, frame_s):
        field = _field(rays, carrier, frame_s, sizes.rx, sizes.responses, speed_bin, cell_m)
        if not removed:
            still = clutter_paths(room, carrier)
            cells = _cells(still[1][:, 0, 0], sizes.responses, cell_m)
            field[:, sizes.rx // 2] += phasors(still, carrier)[:, 0, 0] @ cells
        magnitude = np.abs(add_noise(rng, field, snr))
        if points_only:
            magnitude[magnitude < 3 * np.median(magnitude)] = 0
        signals.append(
            Signal(
                values=magnitude,
                time_s=steps(sizes.times, frame_s),
                links=tuple(Link(0, index) for index in range(sizes.rx)),
                delay_s=steps(sizes.responses, 2 * cell_m / SPEED_OF_LIGHT) + cell_m / SPEED_OF_LIGHT,
                kind="radar",
                carrier_hz=carrier,
                bandwidth_hz=SPEED_OF_LIGHT / (2 * cell_m),
                is_real=True,
                labels=labels,
            )
        )
    return signals


def _chirps(rng: np.random.Generator, seed: int, session: int, carrier: float) -> list[Signal]:
    """Chirp samples [chirps, rx * tx, samples per chirp], complex."""
    sizes = draw_sizes(rng, (16, 64), (1, 3), (1, 4), (16, 128))
    room = radar_room(rng, seed, session, carrier, sizes.tx, sizes.rx)
    bandwidth, interval = log_uniform(rng, 0.25e9, 4e9), log_uniform(rng, 0.5e-3, 0.05)
    frequency, snr = uniform(sizes.responses, min(bandwidth, carrier / 8)), rng.uniform(5, 30)
    still = frequency_response(clutter_paths(room, carrier), carrier, frequency)
    signals = []
    for rays, labels in _windows(rng, seed, room, carrier, sizes.times, interval):
        field = still + frequency_response(rays, carrier, frequency)
        links = [Link(tx, rx) for rx in range(sizes.rx) for tx in range(sizes.tx)]
        signals.append(
            Signal(
                values=add_noise(rng, field.transpose(0, 2, 1, 3).reshape(sizes.times, len(links), -1), snr),
                time_s=steps(sizes.times, interval),
                links=tuple(links),
                frequency_hz=frequency,
                kind="radar",
                carrier_hz=carrier,
                bandwidth_hz=float(np.ptp(frequency)),
                labels=labels,
            )
        )
    return signals


def _windows(
    rng: np.random.Generator, seed: int, room: Room, carrier: float, times: int, interval: float
) -> list[tuple[Rays, dict[str, Label]]]:
    """Rays [S, T, tx, rx] off the people in each window, and its labels; an empty room has one negligible ray."""
    windows: list[tuple[Rays, dict[str, Label]]] = []
    for scene in scenes(rng, seed, room, times, interval):
        tracks = [bounces(room, points, rcs, carrier) for points, rcs in scene.people]
        if not tracks:
            shape = (1, times, len(room.tx_m), len(room.rx_m))
            tracks = [(np.full(shape, 1e-12), np.ones(shape))]
        amplitudes, lengths = zip(*tracks, strict=True)
        windows.append(((np.concatenate(amplitudes), np.concatenate(lengths)), scene.labels))
    return windows


def _field(
    rays: Rays, carrier: float, frame_s: float, bins: int, cells: int, speed_bin: float, cell_m: float
) -> NDArray[np.complex64]:
    """Range-Doppler map [T, Doppler bins, cells] of one antenna: a lobe at each point's speed (aliased) and range."""
    length = rays[1][:, :, 0, 0]
    speed = np.gradient(length, frame_s, axis=1) / 2 / speed_bin
    away = (np.arange(bins) - bins // 2 - speed[..., None] + bins / 2) % bins - bins / 2
    weight = phasors(rays, carrier)[:, :, 0, 0, None] * main_lobe(away)
    return np.asarray(np.einsum("std,str->tdr", weight, _cells(length, cells, cell_m), optimize=True), np.complex64)


def _cells(length: Array, cells: int, cell_m: float) -> NDArray[np.float32]:
    """Amplitude in each range cell of an echo with a two-way path of `length` metres."""
    return main_lobe(np.arange(cells) + 0.5 - length[..., None] / (2 * cell_m))
