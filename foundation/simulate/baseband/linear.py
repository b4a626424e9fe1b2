"""Linear modulation: constellations of mean power 1, and symbols shaped by a root-raised-cosine pulse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.complex128]
SPAN = 4  # symbols of the pulse on either side of its centre


def psk(points: int) -> Field:
    """Phase shift keying; QPSK lies on the diagonals."""
    return np.asarray(np.exp(2j * np.pi * (np.arange(points) + 0.5 * (points == 4)) / points))


def pam(points: int) -> Field:
    """Real amplitudes, equally spaced about 0."""
    levels = np.arange(points) * 2.0 - points + 1
    return np.asarray(levels / np.sqrt(np.mean(levels**2)), np.complex128)


def qam(points: int) -> Field:
    """A square grid."""
    side = np.arange(np.sqrt(points)) * 2 - np.sqrt(points) + 1
    grid = (side[:, None] + 1j * side).ravel()
    return np.asarray(grid / np.sqrt(np.mean(np.abs(grid) ** 2)))


def shaped(rng: np.random.Generator, points: Field, count: int, per_symbol: int, roll_off: float) -> Field:
    """`count` samples of random symbols, `per_symbol` samples each, of mean power 1; the sampling phase is random."""
    pulse = root_raised_cosine(np.arange(-SPAN * per_symbol, SPAN * per_symbol + 1) / per_symbol, roll_off)
    symbols = np.zeros(count + 2 * SPAN * per_symbol + per_symbol, np.complex128)
    instants = np.arange(rng.integers(per_symbol), len(symbols), per_symbol)
    symbols[instants] = rng.choice(points, len(instants))
    return np.convolve(symbols, pulse, mode="same")[SPAN * per_symbol :][:count]


def root_raised_cosine(t: NDArray[np.float64], roll_off: float) -> NDArray[np.float64]:
    """Root-raised-cosine pulse at times in symbol periods. J. Proakis, Digital Communications, 4th edition, 9.2."""
    t = t + 1e-6  # avoids the removable singularities
    turn = np.pi * t
    top = np.sin(turn * (1 - roll_off)) + 4 * roll_off * t * np.cos(turn * (1 + roll_off))
    return np.asarray(top / (turn * (1 - (4 * roll_off * t) ** 2)))
