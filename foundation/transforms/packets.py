"""Impairments that vary from packet to packet: their common factor and random draws, for simulation and augmentation.

Shapes [..., T]: any number of recordings of T packets. Depends on NumPy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def packet_factor(gain: Array, phase_rad: Array, delay_s: Array, frequency_hz: Array) -> NDArray[np.complex64]:
    """gain * exp(j (phase - 2 pi f delay)), complex64 [..., T, 1, R]: one linear phase per packet, common to all links.

    Args:
        gain, phase_rad, delay_s: [..., T] each; carrier offset and phase noise enter the phase, sampling time and
            sampling rate offset the delay.
        frequency_hz: offsets from the carrier [R].
    """
    # Wrapped in float64, before conversion to float32; the slope spans a few cycles at most and needs no wrapping.
    common = phase_rad - 2 * np.pi * np.rint(phase_rad / (2 * np.pi))
    slope = (-2 * np.pi * frequency_hz).astype(np.float32)
    phase = delay_s.astype(np.float32)[..., None] * slope
    phase += common.astype(np.float32)[..., None]
    factor = np.empty(phase.shape, np.complex64)
    factor.real, factor.imag = np.cos(phase), np.sin(phase)
    factor *= gain.astype(np.float32)[..., None]
    return factor[..., None, :]


def draw_gain(rng: np.random.Generator, shape: tuple[int, ...], step_db: float, rate: float, limit_db: float) -> Array:
    """Amplitude factor of an automatic gain control that steps up or down by `step_db`.

    Args:
        rate: probability of a step, per packet.
        limit_db: largest deviation from the initial gain.
    """
    steps = rng.choice([-1.0, 1.0], shape) * (rng.random(shape) < rate)
    level = np.clip(np.cumsum(steps, axis=-1) * step_db, -limit_db, limit_db)
    return np.asarray(10 ** (level / 20))


def draw_wander(rng: np.random.Generator, shape: tuple[int, ...], std_rad: float | Array) -> Array:
    """Phase of a free-running oscillator in radian: a random walk with a uniform initial phase.

    Args:
        std_rad: standard deviation of the increment from the previous packet, one number or one per packet.
    """
    walk = np.cumsum(rng.normal(0, std_rad, shape), axis=-1)
    return walk + rng.uniform(-np.pi, np.pi, (*shape[:-1], 1))


def draw_arrivals(rng: np.random.Generator, shape: tuple[int, ...], loss: float) -> NDArray[np.bool_]:
    """Which packets arrive, bool: each is lost with probability `loss`, but at least one per recording arrives."""
    arrival = rng.random(shape)
    return np.asarray((arrival >= loss) | (arrival == arrival.max(axis=-1, keepdims=True)))
