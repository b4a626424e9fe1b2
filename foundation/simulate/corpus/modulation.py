"""Modulated waveforms at complex baseband with mean power near 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foundation.simulate.baseband.linear import psk, qam, shaped

_POINTS = {"bpsk": 2, "qpsk": 4, "8psk": 8, "16qam": 16, "64qam": 64}
MODULATIONS: tuple[str, ...] = (*_POINTS, "gfsk", "fm", "am", "ofdm", "chirp", "tone")


def modulated(rng: np.random.Generator, name: str, count: int) -> NDArray[np.complex128]:
    """`count` samples of random data in one of `MODULATIONS`, with random symbol rate and pulse."""
    if name in _POINTS:
        return _linear(rng, _constellation(_POINTS[name]), count)
    if name == "ofdm":
        return _ofdm(rng, count)
    t = np.arange(count)
    if name == "tone":
        return np.asarray(np.exp(2j * np.pi * (rng.uniform(-0.4, 0.4) * t + rng.random())))
    if name == "chirp":
        period, width = rng.integers(32, 513), rng.uniform(0.1, 0.8) * rng.choice([-1, 1])
        sweep = ((t + rng.integers(period)) % period) / period - 0.5
        return np.asarray(np.exp(2j * np.pi * np.cumsum(width * sweep)))
    if name == "gfsk":
        sps = int(rng.integers(4, 17))
        bits = np.repeat(rng.choice([-1.0, 1.0], count // sps + 2), sps)
        smooth = np.convolve(bits, np.hanning(sps + 2) / np.hanning(sps + 2).sum(), mode="same")[:count]
        return np.asarray(np.exp(1j * np.pi * rng.uniform(0.3, 1.0) / sps * np.cumsum(smooth)))
    message = _message(rng, count)
    if name == "fm":
        return np.asarray(np.exp(2j * np.pi * np.cumsum(rng.uniform(0.02, 0.15) * message)))
    return np.asarray((1 + rng.uniform(0.3, 0.9) * message) * np.exp(2j * np.pi * rng.random()))


def _constellation(points: int) -> NDArray[np.complex128]:
    return psk(points) if points <= 8 else qam(points)


def _linear(rng: np.random.Generator, points: NDArray[np.complex128], count: int) -> NDArray[np.complex128]:
    """Symbols with a root-raised-cosine pulse, 2 to 16 samples per symbol."""
    sps, roll_off = int(rng.integers(2, 17)), rng.uniform(0.15, 0.5)
    return shaped(rng, points, count, sps, roll_off)


def _ofdm(rng: np.random.Generator, count: int) -> NDArray[np.complex128]:
    """OFDM symbols of 32 to 128 subcarriers, three quarters of them used, with a cyclic prefix of a quarter."""
    size = int(rng.choice([32, 64, 128]))
    blocks = count // size + 2
    spectrum = rng.choice(_constellation(int(rng.choice([4, 16]))), (blocks, size))
    used = np.abs(np.fft.fftfreq(size)) < 0.375
    body = np.fft.ifft(spectrum * used, norm="ortho") / np.sqrt(0.75)
    whole = np.concatenate([body[:, -size // 4 :], body], axis=1).ravel()
    start = int(rng.integers(size))
    return np.asarray(whole[start : start + count])


def _message(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Low-pass noise, normalised to [-1, 1]."""
    length = int(rng.integers(8, 65))
    smooth = np.convolve(rng.standard_normal(count + length), np.hanning(length), mode="same")[:count]
    return np.asarray(smooth / np.abs(smooth).max())
