"""A moving reflector, and what the clock of a receiver does to it."""

from __future__ import annotations

import numpy as np

from foundation.signal import SPEED_OF_LIGHT, Signal
from foundation.transforms.impairments import (
    gain_steps,
    timing_offset,
)
from helpers.signals import make_signal

CARRIER = 5.18e9


TONES = np.arange(-28, 29) * 312_500.0


def two_antennas(field: np.ndarray, **changes: object) -> Signal:
    """A signal [T, 2, R] at 5.18 GHz, 500 packets a second."""
    fields = {"values": field, "time_s": np.arange(len(field)) / 500, "frequency_hz": TONES, "carrier_hz": CARRIER}
    return make_signal(links=2, **{**fields, **changes})  # type: ignore[arg-type]


def reflector(speed_m_s: float, seconds: float = 2.0, rate: float = 500.0) -> np.ndarray:
    """A static path to both antennas, and one whose length shrinks at the given speed, [T, 2, R]."""
    time = np.arange(int(seconds * rate)) / rate
    length = 12 - speed_m_s * time[:, None, None] + np.array([0, 0.02])[:, None]
    still = np.exp(-2j * np.pi * (CARRIER + TONES) * np.array([[5.0], [5.1]]) / SPEED_OF_LIGHT)
    return np.asarray(still + 0.2 * np.exp(-2j * np.pi * (CARRIER + TONES) * length / SPEED_OF_LIGHT))


def random_clock(signal: Signal, seed: int, step_db: float = 2.0) -> Signal:
    """Another phase and another delay in every packet, and a stepping gain."""
    rng = np.random.default_rng(seed)
    turned = timing_offset(signal, rng.normal(0, 50e-9, len(signal.time_s)))
    phases = rng.uniform(-np.pi, np.pi, len(signal.time_s))[:, None, None]
    return gain_steps(turned.with_(values=turned.values * np.exp(1j * phases)), step_db, 0.05, seed)
