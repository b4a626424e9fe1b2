"""Positioning signals: UWB impulse responses of a link, and RSSI of many access points or anchors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foundation.signal import SPEED_OF_LIGHT, Label, Link, Signal
from foundation.simulate.config import SimulationConfig
from foundation.simulate.corpus.draw import WINDOWS, draw_people, draw_room, draw_sizes, log_uniform, whole
from foundation.simulate.corpus.rays import Field, Rays, add_noise, bounces, main_lobe, phasors, static_rays, steps
from foundation.simulate.people import move
from foundation.simulate.rooms import Array, Room

#: Carriers and bandwidths of IEEE 802.15.4a, and half the chip duration at 499.2 MHz.
_UWB = ((3494.4e6, 499.2e6), (3993.6e6, 499.2e6), (4492.8e6, 499.2e6), (3993.6e6, 900e6), (6489.6e6, 499.2e6))
_TAP_S = 1 / 998.4e6
#: First-path detection: threshold over the noise, and relative to the strongest path, which is always found.
_OVER_NOISE, _OF_STRONGEST, _MOST = 3.0, 0.06, 0.9
#: Dense multipath, of the amplitude that a free line of sight has, dB.
_TAIL_DB = (-30.0, -8.0)
_VISIBILITY = ("LOS", "NLOS", "NDP-NLOS")


def cir(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    """Windows of impulse responses [T, rx, taps], first path at delay 0; a single one or a few while people move."""
    if rng.random() < 0.7:
        (carrier, bandwidth), tap_s = _UWB[rng.integers(len(_UWB))], _TAP_S
    else:
        carrier, tap_s = log_uniform(rng, 3e9, 10e9), log_uniform(rng, 0.4e-9, 5e-9)
        bandwidth = rng.uniform(0.5, 0.9) / tap_s
    times = 1 if rng.random() < 0.7 else int(rng.integers(4, 33))
    sizes = draw_sizes(rng, (times, times), (1, 1), (1, 1) if rng.random() < 0.8 else (1, 4), (32, 512))
    before = int(rng.integers(4, sizes.responses // 4))
    delays = steps(sizes.responses, tap_s, -before)
    room = draw_room(rng, seed, session, carrier, 1, sizes.rx, most_m=20.0)
    visibility = str(rng.choice(_VISIBILITY))
    room = replace(room, los_gain={"LOS": 1.0, "NLOS": float(rng.uniform(0.03, 0.4)), "NDP-NLOS": 0.0}[visibility])
    interval, snr, decay_s = 1 / log_uniform(rng, 5, 200), rng.uniform(15, 40), rng.uniform(8e-9, 30e-9)
    tail = _tail(rng, (sizes.rx, sizes.responses), delays, decay_s, bandwidth)
    level = 10 ** rng.uniform(0, 3)
    signals = []
    for _ in range(WINDOWS):
        rays = _rays(rng, seed, room, carrier, sizes.times, interval)
        field = _impulses(rng, rays, carrier, bandwidth, delays, tail, snr)
        distance = float(np.linalg.norm((room.tx_m.mean(0) - room.rx_m.mean(0))[:2]))
        signals.append(
            Signal(
                values=field * (level / np.abs(field).max()),
                time_s=steps(sizes.times, interval),
                links=tuple(Link(0, index) for index in range(sizes.rx)),
                delay_s=delays,
                kind="cir",
                carrier_hz=carrier,
                bandwidth_hz=bandwidth,
                labels={"visibility": visibility, "distance": distance},
            )
        )
        room = replace(room, rx_m=room.rx_m + rng.normal(0, 0.05, 3))
    return signals


def rssi(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    """RSSI fingerprints [1, access points, 1] in dBm at positions of one site; too weak transmitters are invalid.

    Log-distance path loss with spatially correlated shadowing: T. Rappaport, Wireless Communications, 2nd
    edition, 4.9; M. Gudmundson, "Correlation model for shadow fading in mobile radio systems", Electronics Letters
    27(23), 1991.
    """
    count, size = whole(rng, 3, 64), np.array([*np.exp(rng.uniform(np.log(5), np.log(80), 2)), 3.0])
    positions = rng.uniform(0, 1, (count, 3)) * size
    loss, one_metre = rng.uniform(1.7, 4.0), rng.uniform(-50, -30) + rng.normal(0, 3, count)
    shadows, fading, weakest = _shadows(rng, count), rng.uniform(1, 4), rng.uniform(-100, -85)
    carrier = float(rng.choice([0.868e9, 2.441e9, 2.437e9, 5.5e9]))
    known, anchors, whole_numbers = rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.7
    links = tuple(_access_point(index, point if known else None, anchors) for index, point in enumerate(positions))
    signals = []
    for _ in range(WINDOWS):
        position = rng.uniform(0, 1, 3) * size * [1, 1, 0.6]
        distance = np.maximum(np.linalg.norm(positions - position, axis=1), 0.5)
        strength = one_metre - 10 * loss * np.log10(distance) + shadows(position) + rng.normal(0, fading, count)
        strength = np.clip(np.round(strength) if whole_numbers else strength, -120, 0)
        heard = (strength >= weakest) | (strength == strength.max())
        labels: dict[str, Label] = {"position": (float(position[0]), float(position[1]))}
        signals.append(
            Signal(
                values=strength[None, :, None],
                valid=heard[None, :, None],
                time_s=np.zeros(1),
                links=links,
                frequency_hz=np.zeros(1),
                kind="rssi",
                carrier_hz=carrier,
                is_real=True,
                labels=labels,
            )
        )
    return signals


def _rays(rng: np.random.Generator, seed: int, room: Room, carrier: float, times: int, interval: float) -> Rays:
    """Rays [P, T, tx, rx]: static paths, and bounces off people if there is more than one time."""
    amplitude, distance = (np.repeat(part[:, None], times, axis=1) for part in static_rays(room, carrier))
    if times == 1:
        return amplitude, distance
    config = SimulationConfig(times=times, interval_s=interval)
    parts = [(amplitude, distance)]
    for person, (doing,) in draw_people(rng, seed, most=2, windows=1):
        if doing != "empty":
            points, rcs = move(rng, [doing], person, room.size_m, config)
            parts.append(bounces(room, points[0], rcs[0], carrier))
    return np.concatenate([a for a, _ in parts]), np.concatenate([d for _, d in parts])


def _impulses(
    rng: np.random.Generator, rays: Rays, carrier: float, bandwidth: float, delays: Array, tail: Field, snr_db: float
) -> Field:
    """Impulse responses [T, rx, taps], shifted by whole taps so that the detected first path has delay 0.

    Every frame has a random phase, because the oscillators of both ends are not synchronised. What obstructs the line
    of sight leaves dense multipath and noise as they are: both are relative to a free one, so that the response of an
    obstructed link falls later and is nearer to the noise (as in the models of IEEE 802.15.4a).
    """
    amplitude, distance = (part[:, :, 0] for part in rays)
    step = delays[1] - delays[0]
    direct = distance[0].min() / SPEED_OF_LIGHT
    early = direct - step * rng.uniform(0, 1)  # the sampling phase is random
    taps = phasors((amplitude, distance), carrier)
    at = (distance / SPEED_OF_LIGHT - early)[..., None] - delays
    field = np.einsum("ptr,ptrn->trn", taps, _pulse(bandwidth * at), optimize=True)
    strongest = float(np.abs(field).max())
    free = max(strongest, SPEED_OF_LIGHT / (4 * np.pi * carrier * float(distance[0].min())))
    snr_db += 20 * np.log10(max(strongest, 1e-3 * free) / free)
    field = add_noise(rng, (field + free * tail).astype(np.complex64), snr_db)
    power = np.abs(field).max(axis=(0, 1))
    noise = np.median(power[: max(2, int(-delays[0] / step) - 2)])
    threshold = min(max(_OVER_NOISE * noise, _OF_STRONGEST * power.max()), _MOST * power.max())
    found = np.flatnonzero(power > threshold)
    shift = int(found[0]) - round(-delays[0] / step)
    turned = np.exp(1j * rng.uniform(-np.pi, np.pi, (len(field), 1, 1)))
    return np.asarray(np.roll(field, -shift, axis=2) * turned, np.complex64)


def _pulse(offset: Array) -> NDArray[np.float32]:
    """Band-limited pulse at offsets in units of 1 / bandwidth, with half amplitude at 0.6."""
    return main_lobe(offset / 0.6)


def _tail(rng: np.random.Generator, shape: tuple[int, int], delays: Array, decay_s: float, bandwidth: float) -> Field:
    """Dense multipath relative to a free line of sight: exponentially decaying noise in the band of the pulse."""
    envelope = np.exp(-np.maximum(delays, 0) / (2 * decay_s)) * (delays > 0) * 10 ** (rng.uniform(*_TAIL_DB) / 20)
    white = rng.standard_normal((*shape, 2)).view(np.complex128)[..., 0] * envelope
    step = delays[1] - delays[0]
    kernel = _pulse(bandwidth * step * np.arange(-4, 5))
    return np.asarray([np.convolve(row, kernel, mode="same") for row in white], np.complex64)


def _shadows(rng: np.random.Generator, count: int) -> Callable[[Array], Array]:
    """Shadowing in dB [count] as a function of position: sums of plane waves, standard deviation 2 to 8 dB."""
    waves, deviation, distance = 16, rng.uniform(2, 8), rng.uniform(2, 10)
    vectors = rng.normal(0, 1 / distance, (count, waves, 2))
    phases = rng.uniform(0, 2 * np.pi, (count, waves))
    return lambda position: deviation * np.sqrt(2 / waves) * np.cos(vectors @ position[:2] + phases).sum(axis=1)


def _access_point(index: int, position: Array | None, anchor: bool) -> Link:
    """Link of an anchor (one of many receivers of one transmitter) or an access point (one of many transmitters)."""
    where = None if position is None else (float(position[0]), float(position[1]), float(position[2]))
    return Link(0, index, rx_position_m=where) if anchor else Link(index, 0, tx_position_m=where)
