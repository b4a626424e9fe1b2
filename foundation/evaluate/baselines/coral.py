"""CORAL: align the covariance of training features with that of unlabelled test features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RIDGE = 1.0  # added to both covariances, as in the paper
MAX_SAMPLES = 2000  # of a covariance, evenly spaced: its cost is quadratic in their number


def coral(train: Array, test: Array) -> tuple[Array, Array]:
    """Aligned features [N, F] and [M, F]: each standardised on its own, then the first re-coloured like the second.

    Sun, Feng and Saenko 2016 (arXiv 1511.05547), algorithm 1: train @ (cov(train) + I)^-1/2 @ (cov(test) + I)^1/2.
    Features that are constant in both are 0.
    """
    source, target = standardise(train), standardise(test)
    aligned = _times_power(_times_power(source, source, -0.5), target, 0.5)
    # Rounding errors in a column of zeros would later be standardised into noise.
    return aligned * (source.any(axis=0) | target.any(axis=0)), target


def standardise(x: Array) -> Array:
    """Features [N, F] with zero mean and unit standard deviation; constant features become 0."""
    x = np.asarray(x, np.float64)
    std = x.std(axis=0)
    moving = std > 1e-9 * np.maximum(1.0, np.abs(x).max(axis=0))
    return np.asarray((x - x.mean(axis=0)) / np.where(moving, std, 1.0) * moving)


def _times_power(x: Array, samples: Array, power: float) -> Array:
    """x @ (cov(samples) + RIDGE I)^power for centred samples.

    Outside the span of the samples this is a scaling, so that no F x F matrix is needed for thousands of features.
    """
    samples = samples[:: 1 + (len(samples) - 1) // MAX_SAMPLES]
    _, singular, axes = np.linalg.svd(samples - samples.mean(axis=0), full_matrices=False)
    variance = singular**2 / max(1, len(samples) - 1)
    rest = RIDGE**power
    return np.asarray(x * rest + ((x @ axes.T) * ((variance + RIDGE) ** power - rest)) @ axes)
