"""Metrics on plain arrays. Numpy and scipy alone; shares are in 0..1 and lengths in metres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

Array = NDArray[Any]


def accuracy(truth: Array, predicted: Array) -> float:
    """Share of predictions that are right; `truth` and `predicted` are [N] classes."""
    _same_shape(truth, predicted)
    return float(np.mean(np.asarray(truth) == np.asarray(predicted)))


def confusion(truth: Array, predicted: Array, classes: Sequence[Any]) -> NDArray[np.int64]:
    """int64 [C, C]: how often class i (row) was taken for class j (column).

    Raises:
        ValueError: a class is not in `classes`.
    """
    _same_shape(truth, predicted)
    place = {name: index for index, name in enumerate(classes)}
    unknown = sorted({str(name) for name in [*truth, *predicted] if name not in place})
    if unknown:
        raise ValueError(f"confusion: {unknown[0]!r} is not among the classes {list(classes)}")
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix, ([place[name] for name in truth], [place[name] for name in predicted]), 1)
    return matrix


def macro_f1(truth: Array, predicted: Array) -> float:
    """Mean of the F1 scores of the classes that occur in `truth`; a class that is never right counts 0."""
    classes = np.unique(np.concatenate([np.asarray(truth), np.asarray(predicted)]))
    matrix = confusion(truth, predicted, list(classes))
    occurs = matrix.sum(axis=1) > 0
    twice = 2.0 * np.diag(matrix)
    return float(np.mean((twice / np.maximum(matrix.sum(axis=0) + matrix.sum(axis=1), 1))[occurs]))


def localisation_errors(truth_m: Array, predicted_m: Array) -> dict[str, float]:
    """`mean_error_m` and `median_error_m`: Euclidean distances between the rows of two [N, D] arrays, in metres."""
    _same_shape(truth_m, predicted_m)
    distance = np.linalg.norm(np.asarray(predicted_m, np.float64) - np.asarray(truth_m, np.float64), axis=-1)
    return {"mean_error_m": float(distance.mean()), "median_error_m": float(np.median(distance))}


def each_score(truth: Array, predicted: Array) -> NDArray[np.float64]:
    """float64 [N]: what the headline metric is the mean of: 1 or 0 (right or wrong), or the distance."""
    _same_shape(truth, predicted)
    if np.ndim(truth) == 1:
        return np.asarray(np.asarray(truth) == np.asarray(predicted), np.float64)
    return np.asarray(np.linalg.norm(np.asarray(predicted, np.float64) - np.asarray(truth, np.float64), axis=-1))


def scores(truth: Array, predicted: Array) -> dict[str, float]:
    """The metrics of a task by its targets: [n] classes -> accuracy; [n, d] metres -> localisation errors."""
    if np.ndim(truth) == 1:
        return {"accuracy": accuracy(truth, predicted)}
    return localisation_errors(truth, predicted)


def power_profile_db(samples: Array) -> NDArray[np.float64]:
    """float64 [R]: mean power per frequency of [N, T, R] samples, in decibels relative to the mean over frequency.

    Each sample counts with power 1: a gain control's strongest windows must not own the mean.
    """
    power = np.mean(_each_profile(samples), axis=0)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12 * power.max()) / power.mean()), dtype=np.float64)


def temporal_autocorrelation(samples: Array) -> NDArray[np.float64]:
    """float64 [1 + T // 2]: autocorrelation of the amplitude of [N, T, R] samples, centred in time; 1 at lag 0.

    The mean over samples of each one's own autocorrelation; samples that do not change are left out.

    Amplitude, because measured phase is random from packet to packet; centred, because the static response would
    correlate fully at every lag and hide the dynamics.

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
    """How far generated samples are from held-out real ones; both [N, T, R] with the same T and R, N may differ.

    Returns:
        `power_profile_db`: root mean square difference of the power profiles, in decibels.
        `autocorrelation`: root mean square difference of the temporal autocorrelations over lags 1 to T // 2.
        `power_spread_db`: Wasserstein-1 distance, averaged over frequencies, between the distributions over samples of
            a sample's power at a frequency relative to its mean power; in decibels. The mean profile of many rooms is
            nearly flat, so noise comes close to it; that each room has a shape of its own only shows here.
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
    """float64 [N, R]: power over time of each sample per frequency, relative to the sample's mean."""
    each = np.mean(np.abs(np.asarray(samples, np.complex128)) ** 2, axis=1)
    return np.asarray(each / np.maximum(each.mean(axis=1, keepdims=True), np.finfo(np.float64).tiny))


def _same_shape(truth: Array, predicted: Array) -> None:
    if np.shape(truth) != np.shape(predicted) or np.size(truth) == 0:
        raise ValueError(f"truth {np.shape(truth)} and prediction {np.shape(predicted)} must have one shape, not empty")
