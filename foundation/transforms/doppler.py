"""Doppler spectrogram: power over slow time and Doppler shift, per link.

A path whose length changes at v m/s has the Doppler shift f = -v / wavelength: positive shifts are paths that grow
shorter. K. Qian et al., "Inferring motion direction using commodity Wi-Fi for interactive exergames", CHI 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import get_window

from foundation.errors import SignalError
from foundation.signal import SPEED_OF_LIGHT, Signal
from foundation.transforms.resample import resample_time

#: Default window length in seconds, and its limits in packets.
WINDOW_S, FEWEST, MOST = 0.5, 16, 256
#: The power is NaN where less than this share of the window's weight lies on measured packets.
MEASURED = 0.5
_ENTRIES = 2**21  # processed at a time, to bound memory


@dataclass(frozen=True)
class Doppler:
    """A Doppler spectrogram.

    Attributes:
        power: float64 [windows, L, D], power spectral density in squared units of the values per hertz, averaged over
            the response axis; NaN where less than half of a window was measured.
        time_s: float64 [windows], window centres.
        frequency_hz: float64 [D], Doppler shift, increasing from minus half the packet rate.
        carrier_hz: 0 if unknown.
    """

    power: NDArray[np.float64]
    time_s: NDArray[np.float64]
    frequency_hz: NDArray[np.float64]
    carrier_hz: float

    @property
    def speed_m_s(self) -> NDArray[np.float64]:
        """Rate in m/s at which the path grows shorter, [D]; for a monostatic radar twice the speed of approach.

        Raises:
            SignalError: the carrier is unknown.
        """
        if self.carrier_hz == 0:
            raise SignalError("a Doppler shift is a speed only at a known carrier; read the file with carrier_hz=.")
        return self.frequency_hz * SPEED_OF_LIGHT / self.carrier_hz


def doppler(
    signal: Signal, window_s: float | None = None, hop_s: float | None = None, remove_static: bool = True
) -> Doppler:
    """Short-time Fourier transform over packets (Hann window), with the power averaged over the response axis.

    Packets are first resampled to the median interval (`resample_time`); unmeasured packets have weight 0. Static paths
    are removed by subtracting the mean of each window, link and response.

    Phases must be those of the channel: for unsynchronised receivers use `conjugate_product` of two antennas, or the
    amplitude, whose spectrum has no sign.

    Args:
        window_s: window length in seconds; by default 0.5, limited to 16 to 256 packets.
        hop_s: hop in seconds; by default an eighth of a window.
        remove_static: False for signals without static paths, such as baseband samples.

    Raises:
        SignalError: there are fewer than 16 packets, the window is shorter than 16 packets or longer than the signal,
            or the hop is not positive.
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
    length = 2 ** int(np.ceil(np.log2(2 * size)))  # zero-padding interpolates the spectrum
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
    """Power spectral density [B, L, D] of windows [B, N, L, R], zero frequency first."""
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
