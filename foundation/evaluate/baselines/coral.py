"""Correlation alignment: training features given the covariance of the test features, whose labels nobody looks at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RIDGE = 1.0  # added to both covariances, as in the paper
SAMPLES = 2000  # that a covariance is taken of at most, evenly spread: its cost goes with their square


def coral(train: Array, test: Array) -> tuple[Array, Array]:
    """Both feature matrices [N, F] and [M, F], standardised each on its own, the first recoloured as the second.

    Sun, Feng and Saenko 2016 (arXiv 1511.05547), algorithm 1: train @ (cov(train) + I)^-1/2 @ (cov(test) + I)^1/2.
    Features that do not change are 0 in both.
    """
    source, target = standardise(train), standardise(test)
    aligned = _times_power(_times_power(source, source, -0.5), target, 0.5)
    # What rounding leaves in a column of zeros would be standardised into noise later on.
    return aligned * (source.any(axis=0) | target.any(axis=0)), target


def standardise(x: Array) -> Array:
    """Features [N, F], each less its mean and in units of its deviation; 0 where it does not change."""
    x = np.asarray(x, np.float64)
    std = x.std(axis=0)
    moving = std > 1e-9 * np.maximum(1.0, np.abs(x).max(axis=0))
    return np.asarray((x - x.mean(axis=0)) / np.where(moving, std, 1.0) * moving)


def _times_power(x: Array, samples: Array, power: float) -> Array:
    """x @ (cov(samples) + RIDGE)^power for centred samples. Only where they lie does it differ from a scaling, so that
    thousands of features of a hundred samples need no matrix of features by features."""
    samples = samples[:: 1 + (len(samples) - 1) // SAMPLES]
    _, singular, axes = np.linalg.svd(samples - samples.mean(axis=0), full_matrices=False)
    variance = singular**2 / max(1, len(samples) - 1)
    rest = RIDGE**power
    return np.asarray(x * rest + ((x @ axes.T) * ((variance + RIDGE) ** power - rest)) @ axes)
