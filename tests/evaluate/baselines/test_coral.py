"""CORAL against the definition: training features with the covariance of the test features."""

from __future__ import annotations

import numpy as np
import pytest

from foundation.evaluate.baselines.coral import coral


@pytest.mark.parametrize("rows", [30, 300])
def test_coral_gives_the_training_features_the_covariance_of_the_test_features(rows: int) -> None:
    rng = np.random.default_rng(0)
    train = rng.standard_normal((rows, 40)) @ rng.standard_normal((40, 40)) + 5
    test = rng.standard_normal((rows + 7, 40)) * np.arange(1, 41) - 3
    train[:, 4] = test[:, 4] = 2.0
    aligned, target = coral(train, test)
    scaled = (train - train.mean(0)) / np.where(train.std(0) > 1e-9, train.std(0), 1)

    def power(x: np.ndarray, exponent: float) -> np.ndarray:
        """Of the whole matrix, as the paper writes it."""
        values, vectors = np.linalg.eigh(np.cov(x, rowvar=False) + np.eye(x.shape[1]))
        return (vectors * values**exponent) @ vectors.T

    np.testing.assert_allclose(aligned, scaled @ power(scaled, -0.5) @ power(target, 0.5), atol=1e-8)
    np.testing.assert_array_equal(aligned[:, 4], 0)
    before, after = (np.abs(np.cov(x, rowvar=False) - np.cov(target, rowvar=False)).max() for x in (scaled, aligned))
    assert after < before
