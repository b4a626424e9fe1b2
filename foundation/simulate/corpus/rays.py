"""Rays as amplitudes and path lengths, for kinds that are not a plain frequency response of a room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foundation.signal import SPEED_OF_LIGHT
from foundation.simulate.channel import NEAREST_M, clutter_paths, wall_paths
from foundation.simulate.rooms import Array, Room

Field = NDArray[np.complex64]
#: Amplitudes and path lengths in metres, both [P, ...].
Rays = tuple[Array, Array]


def static_rays(room: Room, carrier_hz: float) -> Rays:
    """Rays [P, tx, rx]: the line of sight first, then walls and furniture."""
    walls, clutter = wall_paths(room, carrier_hz), clutter_paths(room, carrier_hz)
    return np.concatenate([walls[0], clutter[0]]), np.concatenate([walls[1], clutter[1]])


def bounces(room: Room, points_m: Array, rcs_m2: Array, carrier_hz: float) -> Rays:
    """Rays [S, T, tx, rx] of one bounce off moving points [3, S, T] with radar cross sections [S]."""
    points = np.moveaxis(points_m, 0, -1)[:, :, None]
    to, back = (np.linalg.norm(points - ends, axis=-1) for ends in (room.tx_m, room.rx_m))
    legs = np.maximum(to, NEAREST_M)[..., :, None] * np.maximum(back, NEAREST_M)[..., None, :]
    gain = SPEED_OF_LIGHT / carrier_hz / (4 * np.pi) ** 1.5 * np.sqrt(rcs_m2)
    return gain[:, None, None, None] / legs, to[..., :, None] + back[..., None, :]


def frequency_response(rays: Rays, carrier_hz: float, frequency_hz: Array) -> Field:
    """Frequency response complex64 [..., F] of rays [P, ...], summed over P, at uniform frequency offsets [F].

    Each frequency is obtained from the previous one by a phasor, which avoids one exponential per frequency.
    """
    amplitude, distance = rays
    cycles = distance * ((carrier_hz + frequency_hz[0]) / SPEED_OF_LIGHT)
    value = (amplitude * np.exp(-2j * np.pi * (cycles - np.rint(cycles)))).astype(np.complex64)
    step = float(frequency_hz[1] - frequency_hz[0]) if len(frequency_hz) > 1 else 0.0
    turn = np.exp(-2j * np.pi * step / SPEED_OF_LIGHT * distance).astype(np.complex64)
    out = np.empty((*distance.shape[1:], len(frequency_hz)), np.complex64)
    for index in range(len(frequency_hz)):
        np.add.reduce(value, axis=0, out=out[..., index])
        value *= turn
    return out


def phasors(rays: Rays, carrier_hz: float) -> Field:
    """Complex amplitude of every ray: amplitude * exp(-2 pi j carrier length / c)."""
    amplitude, distance = rays
    cycles = distance * (carrier_hz / SPEED_OF_LIGHT)
    return np.asarray(amplitude * np.exp(-2j * np.pi * (cycles - np.rint(cycles))), np.complex64)


def main_lobe(offset: Array) -> NDArray[np.float32]:
    """Main lobe of a Hann window `offset` bins from a spectral line: 1 at 0, 1/2 at 1, 0 at 2, 3, ..."""
    beside = np.where(np.abs(np.abs(offset) - 1) < 1e-6, offset + 1e-5, offset)
    return np.asarray(np.sinc(beside) / (1 - beside**2), np.float32)


def steps(count: int, step: float, first: int = 0) -> Array:
    """`count` multiples of a step, starting at `first` steps."""
    return np.asarray(np.arange(first, first + count) * step, np.float64)


def uniform(count: int, width: float) -> Array:
    """Offsets of `count` equally spaced subcarriers across a bandwidth, symmetric about 0."""
    return np.asarray((np.arange(count) - (count - 1) / 2) * (width / count))


def add_noise(rng: np.random.Generator, field: Field, snr_db: float) -> Field:
    """Add circular Gaussian noise `snr_db` below the mean power."""
    power = float(np.mean(field.real**2 + field.imag**2)) * 10 ** (-snr_db / 10)
    noise = rng.standard_normal((*field.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    return np.asarray(field + noise * np.float32(np.sqrt(power / 2)), np.complex64)
