"""Hand-crafted features: the baseline of pretrained encoders. Invalid entries are ignored.

The length of a feature vector depends on the numbers of links and responses (and, for "doppler", of times) only, so
that windows of one shape stack into a matrix. "amplitude" and "level" keep the gain, because the received level can be
informative; the others remove it. RSSI is in dBm, a logarithm already: its amplitude is the dB below 1 mW, its gain an
offset, and a transmitter that was not heard has a level below all that were (`foundation.transforms.unheard`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foundation.errors import SignalError
from foundation.evaluate.baselines.array_features import angle_features, array_features
from foundation.evaluate.baselines.cumulants import cumulant_features
from foundation.evaluate.baselines.delay_features import DELAY_STATISTICS, delay_features, fill_gaps
from foundation.signal import Signal
from foundation.transforms.unheard import unheard_level, with_unheard

Features = NDArray[np.float64]

#: Added to standard deviations, relative to the root mean square, before a logarithm.
STD_MINIMUM = 1e-6
#: Amplitudes are clipped to this share of the root mean square before a logarithm (-60 dB).
LOG_MINIMUM = 1e-3
NEPERS_PER_DB = np.log(10) / 20


def hand_features(signal: Signal, name: str) -> Features:
    """The named features of one signal as a finite float64 vector.

    Args:
        name: one of `FEATURES`.
            "amplitude": mean and standard deviation over time of the amplitude, per link and response; [2 L R].
            "log-amplitude": mean over time of log amplitude, each packet's mean over link and response removed; [L R].
            "level": mean over time of log amplitude with the gain kept, [L R]; of RSSI the logarithm of the dB below
                1 mW, in which a decibel counts most where signals are strong; of impulse responses log energy and log
                noise, [2 L].
            "invariant": invariant to gain and slow drift: differences of the mean profile along the response axis; log
                standard deviation over time, of the amplitude and of its time difference; mean of the last third minus
                mean of the first third; [L (4 R - 1)].
            "doppler": log spectrum of time-centred log amplitude, averaged over responses and links, without the zero
                frequency; [T // 2]. Transfers between rooms, unlike the static response.
            "delay": `foundation.evaluate.baselines.delay_features.delay_features`, for impulse responses; [10 L].
            "cumulants": `foundation.evaluate.baselines.cumulants.cumulant_features`, for IQ samples; [8 L].
            "array", "angle": `foundation.evaluate.baselines.array_features`, for channels of a line of antennas; [L + R
                + 2] and [2 L]. "array" keeps the gain.

    Raises:
        SignalError: the name is not known, or the features are not defined for this signal.
    """
    if name not in FEATURES:
        raise SignalError(f"hand_features: no features named {name!r}; expected one of {', '.join(FEATURES)}.")
    vector = FEATURES[name](signal)
    return np.asarray(vector, dtype=np.float64)


def feature_rows(signals: Sequence[Signal], name: str, training: Sequence[Signal] = ()) -> Features:
    """The named features of all signals, float64 [n, F].

    Args:
        training: those that say how weak a transmitter is that was not heard (RSSI); default `signals`.

    Raises:
        SignalError: they are not defined for a signal, or its shape differs from the first (names its session); or they
            are the same for all signals, so that nothing can be learnt from them.
    """
    rows: list[Features] = []
    unheard = unheard_level(training or signals)
    for signal in signals:
        try:
            rows.append(hand_features(with_unheard(signal, unheard), name))
        except SignalError as error:
            raise SignalError(f"baselines: a sample of session {signal.session!r}: {error}") from error
        if len(rows[-1]) != len(rows[0]):
            raise SignalError(
                f"baselines: {name} features need windows of one shape: session {signals[0].session!r} has "
                f"{_shape(signals[0])}, session {signal.session!r} {_shape(signal)}; cut or resample them when shards "
                "are built, or leave this baseline out."
            )
    found = np.stack(rows)
    if len(found) > 1 and not np.ptp(found, axis=0).any():
        raise SignalError(
            f"baselines: {name} features are the same for all {len(found)} samples ({_shape(signals[0])}, kind "
            f"{signals[0].kind}), so that nothing can be learnt from them; take others, such as 'features: level'."
        )
    return found


def _shape(signal: Signal) -> str:
    times, links, responses = signal.values.shape
    return f"{times} times x {links} links x {responses} responses"


def _amplitude(signal: Signal) -> Features:
    amplitude = _measured(signal)
    return np.concatenate([fill_gaps(_mean(amplitude)).ravel(), fill_gaps(_std(amplitude)).ravel()])


def _log_amplitude(signal: Signal) -> Features:
    log = _log(signal)
    count = np.maximum(np.isfinite(log).sum(axis=(1, 2), keepdims=True), 1)
    return fill_gaps(_mean(log - np.nansum(log, axis=(1, 2), keepdims=True) / count)).ravel()


def _level(signal: Signal) -> Features:
    if signal.domain == "delay":
        return delay_features(signal).reshape(-1, len(DELAY_STATISTICS))[:, :2].ravel()
    amplitude = _measured(signal)
    log = np.log(np.maximum(amplitude, LOG_MINIMUM * _rms(amplitude)))
    return fill_gaps(_mean(log)).ravel()


def _invariant(signal: Signal) -> Features:
    amplitude = _without_gain(signal)
    profile = fill_gaps(_mean(amplitude))
    third = max(1, len(amplitude) // 3)
    parts = [
        np.diff(profile, axis=1),
        fill_gaps(np.log(_std(amplitude) + STD_MINIMUM)),
        fill_gaps(np.log(_std(np.diff(amplitude, axis=0)) + STD_MINIMUM)),
        fill_gaps(_mean(amplitude[-third:]) - _mean(amplitude[:third])),
    ]
    return np.concatenate([part.ravel() for part in parts])


def _doppler(signal: Signal) -> Features:
    times = signal.values.shape[0]
    if times < 2:
        raise SignalError(f"doppler features need at least 2 times; this signal has {times}.")
    log = _log(signal)
    valid = np.isfinite(log)
    # Lost packets are set to the mean and add no power; the power is normalised by the number of measured ones.
    centred = np.where(valid, log - _mean(log), 0.0) * np.hanning(times + 2)[1:-1, None, None]
    count = valid.sum(axis=0)
    power = np.abs(np.fft.rfft(centred, axis=0)[1:]) ** 2 / np.maximum(count, 1)
    return np.log(power[:, count > 1].mean(axis=1) + STD_MINIMUM**2) if np.any(count > 1) else np.zeros(times // 2)


def _measured(signal: Signal) -> Features:
    """Amplitude, or of RSSI the dB below 1 mW, float64 [T, L, R], NaN where nothing was measured."""
    return np.where(signal.mask, np.abs(signal.values).astype(np.float64), np.nan)


def _without_gain(signal: Signal) -> Features:
    """Amplitude over its root mean square, or RSSI in dB relative to the mean; NaN where nothing was measured."""
    amplitude = _measured(signal)
    return np.nanmean(amplitude) - amplitude if signal.kind == "rssi" else amplitude / _rms(amplitude)


def _log(signal: Signal) -> Features:
    """Log amplitude without gain in nepers, clipped at -60 dB below the root mean square; NaN where nothing was
    measured."""
    relative = _without_gain(signal)
    return relative * NEPERS_PER_DB if signal.kind == "rssi" else np.log(np.maximum(relative, LOG_MINIMUM))


def _rms(amplitude: Features) -> float:
    rms = float(np.sqrt(np.nanmean(amplitude**2)))
    if rms == 0:
        raise SignalError("hand_features: every measured value is 0; drop this signal.")
    return rms


def _mean(array: Features) -> Features:
    """Mean over time [L, R] of the measured entries; NaN if there are none."""
    count = np.isfinite(array).sum(axis=0)
    return np.where(count > 0, np.nansum(array, axis=0) / np.maximum(count, 1), np.nan)


def _std(array: Features) -> Features:
    """Standard deviation over time [L, R] of the measured entries; NaN if there are none, 0 if there is one."""
    if len(array) == 0:
        return np.zeros(array.shape[1:])
    return np.sqrt(_mean((array - _mean(array)) ** 2))


FEATURES: dict[str, Callable[[Signal], Features]] = {
    "amplitude": _amplitude,
    "log-amplitude": _log_amplitude,
    "level": _level,
    "invariant": _invariant,
    "doppler": _doppler,
    "delay": delay_features,
    "cumulants": cumulant_features,
    "array": array_features,
    "angle": angle_features,
}
