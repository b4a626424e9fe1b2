"""Delay statistics of channel impulse responses, aligned to the first path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foundation.errors import SignalError
from foundation.signal import Signal

Array = NDArray[np.float64]

#: Window around the first path in seconds; indoors, later taps hold noise only.
BEFORE_S, AFTER_S = 4e-9, 100e-9
#: Taps below this multiple of the noise power do not count as paths.
PATH_OVER_NOISE = 4.0
_FIRST_PATH_S = 2.5e-9

DELAY_STATISTICS = (
    "log energy",
    "log noise",
    "first path to energy, dB",
    "first path to peak, dB",
    "rise time, ns",
    "mean excess delay, ns",
    "rms delay spread, ns",
    "amplitude kurtosis",
    "amplitude skewness",
    "log of 1 + number of paths",
)


def delay_features(signal: Signal) -> Array:
    """`DELAY_STATISTICS` of each link's power delay profile, averaged over time; float64 [10 L].

    Energy and noise keep the unit of the signal, because the received level shows whether the path was blocked. The
    first path is at delay 0 if the axis has negative delays (reported by the device), else the first tap of the mean
    profile 12 dB above the noise. A link without measurements has the mean of the others.

    Raises:
        SignalError: the signal is not in the delay domain, or has fewer than 4 taps around the first path.
    """
    if signal.delay_s is None:
        raise SignalError("delay features need a delay-domain signal; this one is in the frequency domain.")
    power = np.where(signal.mask, np.abs(signal.values).astype(np.float64) ** 2, np.nan)
    rows = []
    for link in range(power.shape[1]):
        one = power[np.isfinite(power[:, link]).any(axis=1), link]
        rows.append(_link_statistics(one, signal.delay_s) if len(one) else np.full(len(DELAY_STATISTICS), np.nan))
    return fill_gaps(np.stack(rows)).ravel()


def fill_gaps(rows: Array) -> Array:
    """[N, R] with NaN linearly interpolated along R; a row without any value takes the mean of the others, or 0."""
    imputed = rows.copy()
    at = np.arange(rows.shape[1])
    known = np.isfinite(rows)
    for row in np.flatnonzero(known.any(axis=1) & ~known.all(axis=1)):
        imputed[row] = np.interp(at, at[known[row]], rows[row, known[row]])
    empty = ~known.any(axis=1)
    imputed[empty] = imputed[~empty].mean(axis=0) if np.any(~empty) else 0.0
    return imputed


def _link_statistics(power: Array, delay_s: Array) -> Array:
    """Mean over time of the statistics of `power` [T, R], each row with at least one measured tap; [10]."""
    away = (delay_s < -2 * BEFORE_S) | (delay_s > 2 * AFTER_S)
    quiet = power[:, away] if np.isfinite(power[:, away]).sum(axis=1).min() >= 16 else power
    # The median of an exponentially distributed power is ln 2 times its mean, and robust to a few paths.
    noise = np.nanmedian(quiet, axis=1) / np.log(2) + np.finfo(np.float64).tiny
    delay = delay_s - (0.0 if delay_s[0] < 0 else _first_path(power, delay_s, float(np.median(noise))))
    near = (delay >= -BEFORE_S) & (delay <= AFTER_S)
    if near.sum() < 4:
        raise SignalError(
            f"delay features need 4 taps within {AFTER_S * 1e9:.0f} ns of the first path; there are {near.sum()}."
        )
    taps, at = fill_gaps(power[:, near]), delay[near] * 1e9
    paths = np.where(taps > PATH_OVER_NOISE * noise[:, None], taps, 0.0)
    paths[~paths.any(axis=1)] = taps[~paths.any(axis=1)]
    return np.asarray(_statistics(taps, paths, at, noise).mean(axis=0), dtype=np.float64)


def _first_path(power: Array, delay_s: Array, noise: float) -> float:
    """Delay of the first tap of the mean profile 12 dB above the noise; of the strongest tap if there is none."""
    count = np.isfinite(power).sum(axis=0)
    profile = np.nansum(power, axis=0) / np.maximum(count, 1)
    above = profile > 16 * noise
    return float(delay_s[np.argmax(above) if above.any() else np.argmax(profile)])


def _statistics(taps: Array, paths: Array, at_ns: Array, noise: Array) -> Array:
    """[T, 10] from tap powers [T, K], the powers of taps that are paths [T, K], delays [K] in ns and noise power
    [T]."""
    tiny = np.finfo(np.float64).tiny
    energy = paths.sum(axis=1) + tiny
    mean = (paths * at_ns).sum(axis=1) / energy
    spread = np.sqrt((paths * (at_ns - mean[:, None]) ** 2).sum(axis=1) / energy)
    first = taps[:, np.abs(at_ns) <= _FIRST_PATH_S * 1e9].max(axis=1, initial=0.0) + 1e-6 * energy
    amplitude = np.sqrt(taps)
    z = (amplitude - amplitude.mean(axis=1, keepdims=True)) / (amplitude.std(axis=1, keepdims=True) + tiny)
    return np.stack(
        [
            np.log(energy),
            np.log(noise),
            10 * np.log10(first / energy),
            10 * np.log10(first / (paths.max(axis=1) + tiny)),
            at_ns[paths.argmax(axis=1)],
            mean,
            spread,
            (z**4).mean(axis=1),
            (z**3).mean(axis=1),
            np.log1p((paths > 0).sum(axis=1)),
        ],
        axis=1,
    )
