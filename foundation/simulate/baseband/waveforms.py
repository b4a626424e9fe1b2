"""The eleven modulations of RadioML 2016.10a at complex baseband, 200 kHz sample rate.

O'Shea and West, "Radio Machine Learning Dataset Generation with GNU Radio", GNU Radio Conference 2016: digital ones
with 8 samples per symbol, a root-raised-cosine pulse of roll-off 0.35, modulation index 1/2 (CPFSK) and 1/4 (GFSK, BT
0.35), broadcast FM with a deviation of 75 kHz. They modulate the analog ones with recorded speech, of which windows are
silent; here it is Gaussian noise in the telephone band, so that every window carries its modulation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, hilbert, sosfilt
from scipy.signal.windows import gaussian

from foundation.simulate.baseband.linear import Field, pam, psk, qam, shaped

RATE_HZ = 200e3
SAMPLES_PER_SYMBOL, ROLL_OFF = 8, 0.35
CPFSK_INDEX, GFSK_INDEX, GFSK_BT = 0.5, 0.25, 0.35
DEVIATION_HZ = 75e3
#: Band of a telephone (ITU-T G.712), root mean square of the message, and samples until its filter has settled.
VOICE_HZ, VOICE_RMS, SETTLING = (300.0, 3400.0), 0.3, 4096

_POINTS = {"8PSK": psk(8), "BPSK": psk(2), "PAM4": pam(4), "QAM16": qam(16), "QAM64": qam(64), "QPSK": psk(4)}


def transmitted(rng: np.random.Generator, name: str, count: int) -> Field:
    """`count` samples of one of `MODULATIONS` with random data or message; of mean power 1 over many, AM-DSB above."""
    if name in _POINTS:
        return shaped(rng, _POINTS[name], count, SAMPLES_PER_SYMBOL, ROLL_OFF)
    return _OTHERS[name](rng, count)


def voice(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """A message of `count` samples: Gaussian noise in the telephone band, clipped to [-1, 1]."""
    heard = sosfilt(_voice_filter(), rng.standard_normal(count + SETTLING))[SETTLING:]
    share = (VOICE_HZ[1] - VOICE_HZ[0]) / (RATE_HZ / 2)  # of the power of white noise that passes
    return np.asarray(np.clip(heard * VOICE_RMS / np.sqrt(share), -1, 1))


@lru_cache
def _voice_filter() -> NDArray[np.float64]:
    return np.asarray(butter(4, VOICE_HZ, "bandpass", fs=RATE_HZ, output="sos"))


def _cpfsk(rng: np.random.Generator, count: int) -> Field:
    return _frequency_shift(_bits(rng, count), CPFSK_INDEX)


def _gfsk(rng: np.random.Generator, count: int) -> Field:
    """Frequency pulses smoothed by a Gaussian filter, standard deviation sqrt(ln 2) / (2 pi BT) symbols."""
    deviation = np.sqrt(np.log(2)) / (2 * np.pi * GFSK_BT) * SAMPLES_PER_SYMBOL
    kernel = gaussian(4 * SAMPLES_PER_SYMBOL + 1, deviation)
    bits = _bits(rng, count + len(kernel) - 1)
    return _frequency_shift(np.convolve(bits, kernel / kernel.sum(), mode="valid"), GFSK_INDEX)


def _bits(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Random signs held for a symbol each, starting anywhere in the first."""
    symbols = rng.choice([-1.0, 1.0], count // SAMPLES_PER_SYMBOL + 2)
    start = int(rng.integers(SAMPLES_PER_SYMBOL))
    return np.repeat(symbols, SAMPLES_PER_SYMBOL)[start : start + count]


def _frequency_shift(level: NDArray[np.float64], index: float) -> Field:
    return np.asarray(np.exp(1j * np.pi * index / SAMPLES_PER_SYMBOL * np.cumsum(level)))


def _am_dsb(rng: np.random.Generator, count: int) -> Field:
    return np.asarray(1 + voice(rng, count), np.complex128)


def _am_ssb(rng: np.random.Generator, count: int) -> Field:
    """The upper sideband alone, from the middle of a longer message: the transform errs at the ends."""
    message = voice(rng, count + 2 * SETTLING)
    return np.asarray(hilbert(message)[SETTLING:-SETTLING] / (np.sqrt(2) * VOICE_RMS))


def _wbfm(rng: np.random.Generator, count: int) -> Field:
    return np.asarray(np.exp(2j * np.pi * DEVIATION_HZ / RATE_HZ * np.cumsum(voice(rng, count))))


_OTHERS: dict[str, Callable[[np.random.Generator, int], Field]] = {
    "AM-DSB": _am_dsb,
    "AM-SSB": _am_ssb,
    "CPFSK": _cpfsk,
    "GFSK": _gfsk,
    "WBFM": _wbfm,
}
#: As RadioML names them.
MODULATIONS: tuple[str, ...] = tuple(sorted({*_POINTS, *_OTHERS}))
