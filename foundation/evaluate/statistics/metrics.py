"""Metrics on numpy arrays; accuracies are in 0..1, distances in the unit of the targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

Array = NDArray[Any]

#: More numbers than a point in space has, as the joints of a body, are scored by their mean absolute error.
_POINT = 3


def each_score(truth: Array, predicted: Array) -> NDArray[np.float64]:
    """Score of each sample, float64 [N], whose mean is the headline metric.

    Of a class 1 or 0 (correct or not); of up to three numbers the Euclidean distance; of more (joints of a body) the
    mean absolute error.

    Raises:
        ValueError: shapes differ, or there are no samples.
    """
    _same_shape(truth, predicted)
    if np.ndim(truth) == 1:
        return np.asarray(np.asarray(truth) == np.asarray(predicted), np.float64)
    off = np.asarray(predicted, np.float64) - np.asarray(truth, np.float64)
    return np.asarray(np.linalg.norm(off, axis=-1) if off.shape[-1] <= _POINT else np.abs(off).mean(axis=-1))


def scores(truth: Array, predicted: Array, label: str) -> dict[str, float]:
    """Metrics of a task.

    Args:
        truth, predicted: [N] classes, or [N, D] numbers.
        label: name of the label. A `position` is in metres; other numbers are in the unit of the shards.

    Returns:
        For classes `accuracy`. For numbers mean and median of `each_score`: `mean_error_m` and `median_error_m` for a
        position, otherwise `mean_error` and `median_error`.
    """
    each = each_score(truth, predicted)
    if np.ndim(truth) == 1:
        return {"accuracy": float(each.mean())}
    unit = "_m" if label == "position" else ""
    return {f"mean_error{unit}": float(each.mean()), f"median_error{unit}": float(np.median(each))}


def power_profile_db(samples: Array) -> NDArray[np.float64]:
    """Mean power per frequency of samples [N, T, R], float64 [R] in dB relative to the mean over frequency.

    Each sample is scaled to power 1, so that the strongest windows do not dominate.
    """
    power = np.mean(_each_profile(samples), axis=0)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12 * power.max()) / power.mean()), dtype=np.float64)


def temporal_autocorrelation(samples: Array) -> NDArray[np.float64]:
    """Autocorrelation over time of the centred amplitude of samples [N, T, R]; float64 [1 + T // 2], 1 at lag 0.

    The mean over samples of each one's autocorrelation; constant samples are left out. Amplitude, because measured
    phase is random from packet to packet; centred, because the static response would hide the dynamics.

    Raises:
        ValueError: there are fewer than 2 times, or nothing changes in time.
    """
    amplitude = np.abs(np.asarray(samples, np.complex128))
    times = amplitude.shape[1]
    centred = amplitude - amplitude.mean(axis=1, keepdims=True)
    if times < 2 or not np.any(centred):
        raise ValueError("temporal_autocorrelation needs samples of at least 2 times that change in time")
    products = np.stack(
        [np.mean(centred[:, lag:] * centred[:, : times - lag], axis=(1, 2)) for lag in range(1 + times // 2)]
    )
    changing = products[0] > 0
    return np.asarray((products[:, changing] / products[0, changing]).mean(axis=1), dtype=np.float64)


def sample_distances(held_out: Array, generated: Array) -> dict[str, float]:
    """Distances between generated and held-out samples, both [N, T, R] with equal T and R; N may differ.

    Returns:
        `power_profile_db`: root mean square difference of the power profiles in dB.
        `autocorrelation`: root mean square difference of the temporal autocorrelations over lags 1 to T // 2.
        `power_spread_db`: Wasserstein-1 distance in dB, averaged over frequencies, between the distributions over
            samples of the power at a frequency relative to a sample's mean power. The mean profile of many rooms is
            nearly flat, and noise comes close to it; only this metric shows that each room has its own profile.

    Raises:
        ValueError: the shapes differ after the first axis.
    """
    if np.shape(held_out)[1:] != np.shape(generated)[1:]:
        raise ValueError(
            f"sample_distances: shapes {np.shape(held_out)} and {np.shape(generated)} differ after the first axis"
        )
    profile = power_profile_db(held_out) - power_profile_db(generated)
    lags = (temporal_autocorrelation(held_out) - temporal_autocorrelation(generated))[1:]
    return {
        "power_profile_db": float(np.sqrt(np.mean(profile**2))),
        "autocorrelation": float(np.sqrt(np.mean(lags**2))),
        "power_spread_db": _spread_distance(held_out, generated),
    }


def _spread_distance(held_out: Array, generated: Array) -> float:
    one, other = (10 * np.log10(np.maximum(_each_profile(x), 1e-6)) for x in (held_out, generated))
    return float(np.mean([wasserstein_distance(a, b) for a, b in zip(one.T, other.T, strict=True)]))


def _each_profile(samples: Array) -> NDArray[np.float64]:
    """Mean power over time of each sample per frequency, relative to the sample's mean; float64 [N, R]."""
    each = np.mean(np.abs(np.asarray(samples, np.complex128)) ** 2, axis=1)
    return np.asarray(each / np.maximum(each.mean(axis=1, keepdims=True), np.finfo(np.float64).tiny))


def _same_shape(truth: Array, predicted: Array) -> None:
    if np.shape(truth) != np.shape(predicted) or np.size(truth) == 0:
        raise ValueError(f"truth {np.shape(truth)} and prediction {np.shape(predicted)} must have one shape, not empty")
