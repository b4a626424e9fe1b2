"""Analog front end of a transmitter: what tells one radio of a make from another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.simulate.baseband.linear import Field
from foundation.transforms.packets import draw_wander

REFERENCE_C = 25.0  # temperature at which the crystal has its nominal offset
_FRONT_END = 13


@dataclass(frozen=True)
class FrontEnd:
    """Parameters of a transmitter.

    Attributes:
        imbalance: gain of the quadrature branch relative to the in-phase branch times exp(j phase error).
        leakage: carrier leakage (DC offset), relative to the root mean square of the signal.
        offset_ppm, drift_ppm_per_k: carrier offset at `REFERENCE_C`, and its change with temperature.
        linewidth_hz: width of the oscillator's line, which has Lorentzian shape: phase noise.
        saturation, smoothness: output amplitude, relative to the root mean square of the input, that the power
            amplifier approaches, and how sharply.
        turn_rad: phase that the amplifier adds at that amplitude and far above.
    """

    imbalance: complex
    leakage: complex
    offset_ppm: float
    drift_ppm_per_k: float
    linewidth_hz: float
    saturation: float
    smoothness: float
    turn_rad: float


def make_front_end(seed: int, index: int) -> FrontEnd:
    """Transmitter `index`, the same on every day: tolerances of inexpensive radios."""
    rng = np.random.default_rng((seed, index, _FRONT_END))
    return FrontEnd(
        imbalance=complex(10 ** (rng.uniform(-1, 1) / 20) * np.exp(1j * np.deg2rad(rng.uniform(-6, 6)))),
        leakage=complex(10 ** (rng.uniform(-35, -20) / 20) * np.exp(2j * np.pi * rng.random())),
        offset_ppm=float(rng.uniform(-20, 20)),
        drift_ppm_per_k=float(rng.uniform(-0.4, 0.4)),
        linewidth_hz=float(10 ** rng.uniform(1.5, 3.5)),
        saturation=float(rng.uniform(1.0, 2.5)),
        smoothness=float(rng.uniform(1, 3)),
        turn_rad=float(rng.uniform(0, 0.6)),
    )


def emitted(rng: np.random.Generator, sent: Field, front_end: FrontEnd, rate_hz: float) -> Field:
    """What a transmitter makes of samples of mean power 1, but for its carrier offset."""
    mixed = mix(sent, front_end.imbalance) + front_end.leakage
    step = np.sqrt(2 * np.pi * front_end.linewidth_hz / rate_hz)  # of the phase of a Lorentzian line
    return amplify(mixed * np.exp(1j * draw_wander(rng, mixed.shape, step)), front_end)


def carrier_offset(front_end: FrontEnd, temperature_c: float, carrier_hz: float) -> float:
    """Carrier offset in hertz at a temperature."""
    drift = front_end.drift_ppm_per_k * (temperature_c - REFERENCE_C)
    return (front_end.offset_ppm + drift) * 1e-6 * carrier_hz


def mix(sent: Field, imbalance: complex) -> Field:
    """Quadrature modulator: a wanted part and its image. Valkama, Renfors and Koivunen, IEEE Trans. Signal Process.
    49(10), 2001."""
    return np.asarray((1 + imbalance) / 2 * sent + (1 - np.conj(imbalance)) / 2 * np.conj(sent))


def amplify(sent: Field, front_end: FrontEnd) -> Field:
    """Power amplifier without memory: amplitude after C. Rapp (ECSC 1991), phase after A. Saleh (IEEE Trans. Commun.
    29(11), 1981)."""
    level: NDArray[np.float64] = np.abs(sent) / front_end.saturation
    gain = (1 + level ** (2 * front_end.smoothness)) ** (-1 / (2 * front_end.smoothness))
    return np.asarray(sent * gain * np.exp(1j * front_end.turn_rad * level**2 / (1 + level**2)))
