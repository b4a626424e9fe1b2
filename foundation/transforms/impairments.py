"""Receiver impairments applied to a signal, for augmentation and to test their removal.

All links of a packet share one clock and one gain control. `clean` receives the same impairment but no packet loss.
Timing as in M. Kotaru et al., "SpotFi", SIGCOMM 2015; carrier and sampling offsets and IQ imbalance as in Y. Zhuo et
al., "Perceiving accurate CSI phases with commodity WiFi devices", INFOCOM 2017.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foundation.errors import SignalError
from foundation.signal import Signal
from foundation.transforms.packets import draw_arrivals, draw_gain, draw_wander, packet_factor
from foundation.transforms.resample import resample_frequency


def carrier_offset(signal: Signal, offset_hz: float, phase_rad: float = 0.0) -> Signal:
    """Carrier frequency offset (CFO): multiply by exp(j (2 pi offset t + phase)), t from the first packet.

    Raises:
        SignalError: the signal is real.
    """
    return _turned(signal, 2 * np.pi * offset_hz * (signal.time_s - signal.time_s[0]) + phase_rad)


def phase_noise(signal: Signal, linewidth_hz: float, seed: int) -> Signal:
    """Phase noise of a free-running oscillator: random walk of variance 2 pi linewidth dt per packet, uniform start.

    A. Demir et al., "Phase noise in oscillators: a unifying theory", IEEE TCAS I 47(5), 2000.

    Args:
        linewidth_hz: full width at half power of the oscillator spectrum.

    Raises:
        SignalError: the signal is real, or the linewidth is negative.
    """
    _within("linewidth_hz", linewidth_hz, 0, np.inf)
    interval = np.diff(signal.time_s, prepend=signal.time_s[0])
    std = np.sqrt(2 * np.pi * linewidth_hz * interval)
    return _turned(signal, draw_wander(np.random.default_rng(seed), signal.time_s.shape, std))


def timing_offset(signal: Signal, delay_s: float | NDArray[np.float64]) -> Signal:
    """Sampling time offset (STO): multiply by exp(-j 2 pi f delay).

    Args:
        delay_s: seconds, one for all packets or one per packet [T].

    Raises:
        SignalError: the signal is real or in the delay domain, or the number of delays differs from that of packets.
    """
    if signal.frequency_hz is None:
        raise SignalError("a timing offset needs a frequency-domain signal; see to_frequency.")
    if np.ndim(delay_s) and np.shape(delay_s) != signal.time_s.shape:
        raise SignalError(f"delay_s has shape {np.shape(delay_s)}; expected one number or {signal.time_s.shape}.")
    delay = np.broadcast_to(np.asarray(delay_s, np.float64), signal.time_s.shape)
    return _turned(signal, np.zeros(len(delay)), delay)


def sampling_offset(signal: Signal, relative: float) -> Signal:
    """Sampling frequency offset (SFO): timing drift of `relative` seconds per second (1e-6: one part per million).

    Raises:
        SignalError: as `timing_offset`.
    """
    return timing_offset(signal, relative * (signal.time_s - signal.time_s[0]))


def gain_steps(signal: Signal, step_db: float, rate: float, seed: int, limit_db: float = 6.0) -> Signal:
    """Automatic gain control (AGC): steps of +-`step_db` common to all links, with probability `rate` per packet.

    Args:
        limit_db: largest deviation from the initial gain.

    Raises:
        SignalError: the values are in dBm (kind "rssi"), or an argument is out of range.
    """
    if signal.kind == "rssi":
        raise SignalError("gain_steps multiplies linear values, and those of kind rssi are in dBm.")
    _within("rate", rate, 0, 1)
    _within("limit_db", limit_db, 0, np.inf)
    gain = draw_gain(np.random.default_rng(seed), signal.time_s.shape, step_db, rate, limit_db)[:, None, None]
    return signal.with_(values=signal.values * gain, clean=None if signal.clean is None else signal.clean * gain)


def packet_loss(signal: Signal, share: float, seed: int) -> Signal:
    """Mark packets invalid, each with probability `share`; at least one measured packet is kept.

    Raises:
        SignalError: `share` is not in [0, 1].
    """
    _within("share", share, 0, 1)
    measured = np.asarray(signal.mask.any(axis=(1, 2)))
    arrived = measured.copy()
    arrived[measured] = draw_arrivals(np.random.default_rng(seed), (int(measured.sum()),), share)
    return signal.with_(valid=signal.mask & arrived[:, None, None])


def iq_imbalance(signal: Signal, gain_db: float, phase_rad: float) -> Signal:
    """Unequal I and Q branches: y = a x + b conj(x), a = (1 + g e^(-j p)) / 2, b = (1 - g e^(j p)) / 2.

    M. Valkama et al., "Advanced methods for I/Q imbalance compensation in communication receivers", IEEE TSP 49(10),
    2001. In the frequency domain conj(x) is the image of the tone at -f: H'(f) = a H(f) + b conj(H(-f)), for sounding
    symbols that are equal at f and -f. The image is 0 where the channel at -f was not measured.

    Raises:
        SignalError: the signal is real, or in the delay domain.
    """
    if signal.is_real or signal.frequency_hz is None:
        raise SignalError(f"IQ imbalance needs complex values over frequency; kind {signal.kind} here has none.")
    ratio = 10 ** (gain_db / 20)
    direct, image = (1 + ratio * np.exp(-1j * phase_rad)) / 2, (1 - ratio * np.exp(1j * phase_rad)) / 2
    mirrored = _mirrored(signal)
    clean = signal.clean
    if clean is not None:
        clean = direct * clean + image * np.conj(_mirrored(signal.with_(values=clean, clean=None, valid=None)))
    return signal.with_(values=direct * signal.values + image * np.conj(mirrored), clean=clean)


def _mirrored(signal: Signal) -> NDArray[np.complex64]:
    """The values at the negative frequency of each tone, 0 where they were not measured."""
    frequency = signal.response
    if frequency[0] >= 0 and frequency[-1] <= 0:  # baseband samples: the only tone is its own image
        return signal.values
    if frequency[0] > 0 or frequency[-1] < 0:
        return np.zeros_like(signal.values)
    return resample_frequency(signal, -frequency[::-1]).values[:, :, ::-1]


def _turned(signal: Signal, phase_rad: NDArray[np.float64], delay_s: NDArray[np.float64] | None = None) -> Signal:
    if signal.is_real:
        raise SignalError(f"this signal of kind {signal.kind} is real-valued: it has no phase.")
    delay = np.zeros(len(phase_rad)) if delay_s is None else delay_s
    frequency = np.zeros(1) if delay_s is None else signal.response
    factor = packet_factor(np.ones(len(phase_rad)), phase_rad, delay, frequency)
    return signal.with_(values=signal.values * factor, clean=None if signal.clean is None else signal.clean * factor)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SignalError(f"{name} is {value}; expected a number from {low} to {high}.")
