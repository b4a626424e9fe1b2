"""Multipath channel H(t, f) = sum over paths p of a_p(t) exp(-j 2 pi (fc + f) d_p(t) / c).

Antennas are isotropic: the amplitude of a specular path is lambda / (4 pi d), that of a path over a scatterer follows
the bistatic radar equation, lambda sqrt(rcs) / ((4 pi)^1.5 d1 d2).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from foundation.signal import SPEED_OF_LIGHT
from foundation.simulate.rooms import Array, Room, images

#: Smallest distance between a body and an antenna; bounds the amplitude of a person who walks into one.
NEAREST_M = 0.3
#: Standard deviation of a Gaussian torso in the line of sight, and the share of the amplitude that it blocks.
SHADOW_M, SHADOW_DEPTH = 0.25, 0.7

Field = NDArray[np.complex64]
#: Lengths in metres, float64, and amplitudes, float32, of the same shape.
Leg = tuple[Array, NDArray[np.float32]]


def static_response(room: Room, carrier_hz: float, frequency_hz: Array) -> tuple[Field, Field]:
    """Static channel: line of sight, wall reflections up to second order, one bounce off each piece of furniture.

    Args:
        frequency_hz: offsets from the carrier, [F].

    Returns:
        (line of sight, sum of all other paths), each complex64 [links, F], tx-major.
    """
    paths = _paths(*wall_paths(room, carrier_hz), carrier_hz, frequency_hz)
    clutter = _paths(*clutter_paths(room, carrier_hz), carrier_hz, frequency_hz)
    shape = (-1, len(frequency_hz))
    rest = paths[1:].sum(0) + clutter.sum(0)
    return paths[0].reshape(shape).astype(np.complex64), rest.reshape(shape).astype(np.complex64)


def wall_paths(room: Room, carrier_hz: float) -> tuple[Array, Array]:
    """Amplitudes and path lengths (m), each [P, tx, rx], of the line of sight (first) and the wall reflections."""
    wavelength = SPEED_OF_LIGHT / carrier_hz
    sources, gains = images(room.tx_m, room.size_m, room.reflection, order=2)
    distance = np.linalg.norm(sources[:, :, None] - room.rx_m[None, None], axis=-1)
    amplitude = wavelength / (4 * np.pi) * gains[:, None, None] / distance
    amplitude[0] *= room.los_gain
    return amplitude, distance


def clutter_paths(room: Room, carrier_hz: float) -> tuple[Array, Array]:
    """Amplitudes and path lengths (m), each [P, tx, rx], of one bounce off each piece of furniture."""
    to = np.linalg.norm(room.clutter_m[:, None, None] - room.tx_m[None, :, None], axis=-1)
    back = np.linalg.norm(room.clutter_m[:, None, None] - room.rx_m[None, None, :], axis=-1)
    bounce = _radar_gain(SPEED_OF_LIGHT / carrier_hz) * np.sqrt(room.clutter_rcs_m2)[:, None, None]
    return bounce / (np.maximum(to, NEAREST_M) * np.maximum(back, NEAREST_M)), to + back


def moving_response(
    room: Room, scatterers_m: Array, rcs_m2: Array, carrier_hz: float, frequency_hz: Array
) -> NDArray[np.complex64]:
    """Channel of moving scatterers: paths tx -> point -> rx, direct and with one wall reflection on either leg.

    Args:
        scatterers_m: [B, 3, S, T] positions of S points in each of B windows.
        rcs_m2: [B, S] radar cross sections.
        frequency_hz: offsets from the carrier, [F].

    Returns:
        complex64 [B, T, links, F].
    """
    windows, _, _, times = scatterers_m.shape
    root = _radar_gain(SPEED_OF_LIGHT / carrier_hz) * np.sqrt(rcs_m2)
    half = 1.5 * float(np.linalg.norm(room.size_m))  # a leg is at most one diagonal long, two after a reflection
    bands = _bands(half, frequency_hz)
    ends = [images(antennas, room.size_m, room.reflection, order=1) for antennas in (room.tx_m, room.rx_m)]
    pairs = [(a, b) for a in range(len(room.tx_m)) for b in range(len(room.rx_m))]
    field = np.empty((windows, times, len(pairs), len(frequency_hz)), np.complex64)
    for window, points in enumerate(scatterers_m):
        to, back = ([_leg(sources[:, a], gains, points) for a in range(sources.shape[1])] for sources, gains in ends)
        for link, (a, b) in enumerate(pairs):
            length, gain = _join(to[a], back[b])
            gain *= root[window, :, None].astype(np.float32)
            for band, centre, basis in bands:
                moments = _moments(length, gain, carrier_hz + centre, half, len(basis))
                field[window, :, link, band] = moments.T @ basis
    return field


def shadow(room: Room, torso_m: Array) -> NDArray[np.float32]:
    """Amplitude factor of the line of sight shadowed by a torso, float32 [B, T, links]; torso_m is [B, 3, T]."""
    start = np.repeat(room.tx_m, len(room.rx_m), axis=0)  # [links, 3]
    along = np.tile(room.rx_m, (len(room.tx_m), 1)) - start
    # The torso is a vertical cylinder: only the distance in the horizontal plane matters.
    offset = np.moveaxis(torso_m[:, :2], 1, 2)[:, :, None] - start[:, :2]
    share = np.clip((offset * along[:, :2]).sum(-1) / (along[:, :2] ** 2).sum(-1), 0, 1)
    distance = np.linalg.norm(offset - share[..., None] * along[:, :2], axis=-1)
    return np.asarray(1 - SHADOW_DEPTH * np.exp(-0.5 * (distance / SHADOW_M) ** 2), dtype=np.float32)


def _bands(half_m: float, frequency_hz: Array) -> list[tuple[slice, float, Field]]:
    """Split the subcarriers into bands and approximate exp(-j 2 pi (f - centre) d / c) in each by a polynomial.

    The variable is x = d / half_m - 1 for path lengths 0 <= d <= 2 half_m, so that the sum over paths is computed once
    per power of x instead of once per subcarrier. The polynomials interpolate at Chebyshev nodes; their degree keeps
    the error below 1e-4, and bands are narrow enough for single precision.

    Returns:
        (subcarriers, centre in Hz, coefficients complex64 [powers, subcarriers of the band]).
    """
    # Phase at the band edge over half the range of lengths, in rad; it determines the convergence of the series.
    turn = np.pi * half_m / SPEED_OF_LIGHT * float(np.ptp(frequency_hz)) / 2
    count = max(1, math.ceil(turn / 2.5))
    powers = 4
    while 4 * (turn / count) ** powers / math.factorial(powers) > 1e-4:
        powers += 1
    nodes = np.cos(np.pi * (np.arange(powers) + 0.5) / powers)
    bands = []
    for part in np.array_split(np.arange(len(frequency_hz)), min(count, len(frequency_hz))):
        band = slice(int(part[0]), int(part[-1]) + 1)
        centre = float(frequency_hz[band].mean())
        target = _delay_phasor(half_m * (1 + nodes), frequency_hz[band] - centre)
        basis = np.linalg.solve(np.vander(nodes, increasing=True), target)
        bands.append((band, centre, basis.astype(np.complex64)))
    return bands


def _delay_phasor(distance_m: Array, frequency_hz: Array) -> NDArray[np.complex128]:
    return np.asarray(np.exp(-2j * np.pi / SPEED_OF_LIGHT * distance_m[..., None] * frequency_hz))


def _paths(amplitude: Array, distance: Array, carrier_hz: float, frequency_hz: Array) -> NDArray[np.complex128]:
    """Frequency responses [P, tx, rx, F] of paths [P, tx, rx]."""
    return amplitude[..., None] * _delay_phasor(distance, carrier_hz + frequency_hz)


def _radar_gain(wavelength: float) -> float:
    return float(wavelength / (4 * np.pi) ** 1.5)


def _leg(ends_m: Array, gains: Array, points_m: Array) -> Leg:
    """Length, and gain over length, of the legs from an antenna's images [I, 3] to points [3, S, T]: each [I, S, T]."""
    square = np.zeros((len(ends_m), *points_m.shape[1:]))
    for axis in range(3):
        difference = points_m[axis] - ends_m[:, axis, None, None]
        difference *= difference
        square += difference
    length = np.sqrt(square, out=square)
    gain = gains[:, None, None] / np.maximum(length, NEAREST_M)
    return length, gain.astype(np.float32)


def _join(to: Leg, back: Leg) -> Leg:
    """Complete paths, [2 I - 1, S, T]: each image on one leg combined with the direct path on the other."""
    images_count = len(to[0])
    length = np.empty((2 * images_count - 1, *to[0].shape[1:]))
    gain = np.empty(length.shape, np.float32)
    for path, ufunc, i in ((length, np.add, 0), (gain, np.multiply, 1)):
        ufunc(to[i], back[i][0], out=path[:images_count])
        ufunc(to[i][0], back[i][1:], out=path[images_count:])
    return length, gain


def _moments(length: Array, gain: NDArray[np.float32], frequency_hz: float, half: float, powers: int) -> Field:
    """Sum over paths and points of gain * exp(-j 2 pi frequency length / c) * x^k, complex64 [powers, T]."""
    cycles = length * (frequency_hz / SPEED_OF_LIGHT)
    cycles -= np.rint(cycles)  # wrap in float64: float32 cannot represent the phase of hundreds of cycles
    phase = cycles.astype(np.float32)
    phase *= np.float32(-2 * np.pi)
    terms = np.empty((2, *length.shape), np.float32)
    np.cos(phase, out=terms[0])
    np.sin(phase, out=terms[1])
    terms *= gain
    x = length.astype(np.float32)
    x *= np.float32(1 / half)
    x -= 1
    moments = np.empty((powers, 2, length.shape[-1]), np.float32)
    for power in range(powers):
        np.add.reduce(terms, axis=(1, 2), out=moments[power])
        terms *= x
    return (moments[:, 0] + 1j * moments[:, 1]).astype(np.complex64)
