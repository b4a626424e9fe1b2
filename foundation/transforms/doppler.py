"""Doppler spectrogram: power over slow time and Doppler shift, per link.

A path whose length changes at v metres a second turns by f = -v / wavelength turns a second: positive shifts are paths
that grow shorter. K. Qian et al., "Inferring motion direction using commodity Wi-Fi for interactive exergames", CHI
2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import get_window

from foundation.errors import SignalError
from foundation.signal import Signal
from foundation.transforms.resample import resample_time

SPEED_OF_LIGHT = 299_792_458.0
#: Unless told otherwise a window is half a second, but no fewer and no more packets than this.
WINDOW_S, FEWEST, MOST = 0.5, 16, 256
#: Below this part of a window's weight on measured packets nothing is said.
MEASURED = 0.5
_ENTRIES = 2**21


@dataclass(frozen=True)
class Doppler:
    """A spectrogram.

    Attributes:
        power: float64 [windows, L, D], squared units of the values per hertz, mean over the response axis; NaN where
            less than half of a window was measured.
        time_s: float64 [windows], their centres.
        frequency_hz: float64 [D], increasing, from minus half the packet rate.
        carrier_hz: 0 where it is not known.
    """

    power: NDArray[np.float64]
    time_s: NDArray[np.float64]
    frequency_hz: NDArray[np.float64]
    carrier_hz: float

    @property
    def speed_m_s(self) -> NDArray[np.float64]:
        """Metres a second [D] by which the path grows shorter; of a monostatic radar's target, twice its approach.

        Raises:
            SignalError: the carrier is not known.
        """
        if self.carrier_hz == 0:
            raise SignalError("a Doppler shift is a speed only at a known carrier; read the file with carrier_hz=.")
        return self.frequency_hz * SPEED_OF_LIGHT / self.carrier_hz


def doppler(
    signal: Signal, window_s: float | None = None, hop_s: float | None = None, remove_static: bool = True
) -> Doppler:
    """Short-time Fourier transform over the packets (Hann window), its power averaged over the response axis.

    Packets are put on a regular grid of the median interval first (`resample_time`); what was not measured weighs
    nothing. Without its mean over measured packets every window, link and response is without its static paths.

    Phases must be those of the channel: of unsynchronised receivers take `conjugate_product` of two antennas, or the
    amplitude, whose spectrum tells no sign.

    Args:
        window_s: seconds; by default 0.5, but 16 to 256 packets.
        hop_s: seconds from window to window; by default an eighth of a window.
        remove_static: off for what has no static paths, such as baseband samples.

    Raises:
        SignalError: fewer than 16 packets, a window shorter than that or longer than the signal, or a length <= 0.
    """
    interval = signal.interval_s
    if len(signal.time_s) < FEWEST:
        raise SignalError(f"a Doppler spectrum needs at least {FEWEST} packets; this signal has {len(signal.time_s)}.")
    regular = resample_time(signal, interval)
    count = len(regular.time_s)
    size = int(np.clip(round(WINDOW_S / interval), FEWEST, MOST)) if window_s is None else round(window_s / interval)
    size = min(size, count) if window_s is None else size
    if not FEWEST <= size <= count:
        raise SignalError(
            f"window_s is {window_s}, or {size} packets; expected {FEWEST} to {count} packets of {interval:g} s."
        )
    if hop_s is not None and not hop_s > 0:
        raise SignalError(f"hop_s is {hop_s}; expected a number of seconds > 0.")
    hop = max(1, size // 8 if hop_s is None else round(hop_s / interval))
    starts = np.arange(0, count - size + 1, hop)
    length = 2 ** int(np.ceil(np.log2(2 * size)))  # zeros at the end interpolate the spectrum
    power = np.empty((len(starts), len(signal.links), length))
    block = max(1, _ENTRIES // (length * signal.values[0].size))
    for low in range(0, len(starts), block):
        rows = starts[low : low + block, None] + np.arange(size)
        power[low : low + block] = _power(regular.values[rows], regular.mask[rows], length, interval, remove_static)
    return Doppler(
        power=np.fft.fftshift(power, axes=2),
        time_s=regular.time_s[starts] + interval * (size - 1) / 2,
        frequency_hz=np.fft.fftshift(np.fft.fftfreq(length, interval)),
        carrier_hz=signal.carrier_hz,
    )


def _power(
    values: NDArray, valid: NDArray[np.bool_], length: int, interval: float, remove_static: bool
) -> NDArray[np.float64]:
    """Windows [B, N, L, R] -> power spectral density [B, L, D], zero frequency first."""
    taper = get_window("hann", values.shape[1])[:, None, None]
    static = values.sum(axis=1, keepdims=True) / np.maximum(valid.sum(axis=1, keepdims=True), 1)
    moving = (values - remove_static * static) * (valid * taper)
    weight = np.sum(valid * taper**2, axis=1)  # [B, L, R]
    known = weight >= MEASURED * np.sum(taper**2)
    spectrum = np.square(np.abs(np.fft.fft(moving, length, axis=1)))  # [B, D, L, R]
    density = interval * spectrum / np.maximum(weight, np.finfo(float).tiny)[:, None]
    total = np.sum(density * known[:, None], axis=3)
    tones = known.sum(axis=2)[:, None]
    return np.where(tones > 0, total / np.maximum(tones, 1), np.nan).transpose(0, 2, 1)
