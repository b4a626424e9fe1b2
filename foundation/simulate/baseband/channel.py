"""The dynamic channel of RadioML 2016.10a, without its noise: resampling, selective fading, carrier offset.

O'Shea and West, GNU Radio Conference 2016, after the blocks of GNU Radio: a sampling clock that is off, a few paths
that each fade as a sum of sinusoids (the first with a specular part), and a carrier offset that walks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from foundation.simulate.baseband.linear import Field

Range = tuple[float, float]
SINUSOIDS = 8  # of the fading of a path
WALK_HZ = 0.01  # standard deviation of the step of the carrier offset, per sample
GUARD = 16  # samples that must surround those received: the longest delay, and the ends of the interpolation


@dataclass(frozen=True)
class ChannelRanges:
    """Ranges of the channels of one place and time; draws are uniform.

    Attributes:
        delay: longest delay in samples; two more paths lie before it.
        later: amplitude of the paths after the first, relative to it.
        rician: ratio of specular to scattered power of the first path.
        doppler_hz: largest Doppler shift.
        rate_ppm: magnitude of the error of the sampling clock, parts per million.
    """

    delay: Range
    later: Range
    rician: Range
    doppler_hz: Range
    rate_ppm: Range


@dataclass(frozen=True)
class Channel:
    """One channel: delays in samples and amplitudes of its paths, each [P], its carrier offset, and the rest as in
    `ChannelRanges`."""

    delays: NDArray[np.float64]
    amplitudes: NDArray[np.float64]
    rician: float
    doppler_hz: float
    offset_hz: float
    rate_ppm: float


def draw_channel(rng: np.random.Generator, ranges: ChannelRanges, offset_hz: float) -> Channel:
    """A channel of three paths, of mean power 1, with this carrier offset."""
    longest = rng.uniform(*ranges.delay)
    delays = np.array([0.0, longest * rng.uniform(0.3, 0.7), longest])
    amplitudes = np.array([1.0, *rng.uniform(*ranges.later, 2)])
    return Channel(
        delays,
        amplitudes / np.sqrt(np.sum(amplitudes**2)),
        rician=float(rng.uniform(*ranges.rician)),
        doppler_hz=float(rng.uniform(*ranges.doppler_hz)),
        offset_hz=offset_hz,
        rate_ppm=float(rng.choice([-1, 1]) * rng.uniform(*ranges.rate_ppm)),
    )


def received(rng: np.random.Generator, sent: Field, channel: Channel, rate_hz: float) -> Field:
    """What arrives of `sent` [n + 2 GUARD], complex128 [n], at a random sampling phase and carrier phase.

    Interpolation is by cubic splines: its error is 60 dB below a signal that fills a tenth of the sample rate, 26 dB
    below one that fills half of it.
    """
    count = len(sent) - 2 * GUARD
    time = np.arange(count)
    at = GUARD + rng.uniform(0, 1) + (1 + channel.rate_ppm * 1e-6) * time
    signal = CubicSpline(np.arange(len(sent)), sent)
    heard = np.zeros(count, np.complex128)
    for path, (delay, amplitude) in enumerate(zip(channel.delays, channel.amplitudes, strict=True)):
        fading = _fading(rng, time / rate_hz, channel.doppler_hz, channel.rician if path == 0 else 0.0)
        heard += amplitude * fading * signal(at - delay)
    offset = channel.offset_hz + np.cumsum(rng.normal(0, WALK_HZ, count))
    turns = rng.random() + np.cumsum(offset) / rate_hz
    return np.asarray(heard * np.exp(2j * np.pi * turns))


def _fading(rng: np.random.Generator, time_s: NDArray[np.float64], doppler_hz: float, rician: float) -> Field:
    """Fading of mean power 1 from scatterers all around: Clarke's model as a sum of sinusoids.

    Xiao, Zheng and Beaulieu, "Novel sum-of-sinusoids simulation models for Rayleigh and Rician fading channels", IEEE
    Trans. Wireless Commun. 5(12), 2006.
    """
    arrival = (2 * np.pi * np.arange(SINUSOIDS) + rng.uniform(-np.pi, np.pi, SINUSOIDS)) / SINUSOIDS
    phase = rng.uniform(-np.pi, np.pi, (SINUSOIDS, 1))
    waves = np.exp(1j * (2 * np.pi * doppler_hz * np.cos(arrival)[:, None] * time_s + phase))
    scattered = waves.sum(axis=0) / np.sqrt(SINUSOIDS)
    specular = np.exp(2j * np.pi * doppler_hz * np.cos(rng.uniform(-np.pi, np.pi)) * time_s)
    return np.asarray((np.sqrt(rician) * specular + scattered) / np.sqrt(1 + rician))
