"""Unsupervised domain adaptation: stacks fitted to features that are aligned with unlabelled test recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from foundation.adapt import fit_weighted, stacking_weights
from foundation.data.origins import Origin
from foundation.evaluate.baselines.coral import coral, standardise
from foundation.evaluate.baselines.self_training import self_trained

#: Features [n, F] of the training samples (key None) and of each test part.
Features = Mapping[str | None, np.ndarray]
#: Test part -> features of the training samples and of the part, aligned with one another.
Aligned = Mapping[str, tuple[np.ndarray, np.ndarray]]


class Aligner:
    """Domain adaptation by `coral` or `self-training`; caches the last alignment of each name.

    Args:
        method: one of `align` of the recipe.
    """

    def __init__(self, method: str) -> None:
        self.method = method
        self._kept: dict[str, tuple[Features, Aligned]] = {}

    def aligned(self, name: str, features: Features) -> Aligned:
        """Aligned features of this name, such as a pooling; computed again if `features` is another object."""
        if name not in self._kept or self._kept[name][0] is not features:
            train = features[None]
            found = {part: self._both(train, test) for part, test in features.items() if part is not None}
            self._kept[name] = features, found
        return self._kept[name][1]

    def _both(self, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return coral(train, test) if self.method == "coral" else (standardise(train), standardise(test))

    def stack(
        self,
        features: Mapping[str, Features],
        known: Mapping[str, np.ndarray],
        rows: np.ndarray,
        targets: np.ndarray,
        outputs: int,
        origin: Sequence[Origin],
        seed: int,
    ) -> tuple[dict[str, np.ndarray], str]:
        """Outputs [M, outputs] of a stack for each test part, and a note on its poolings.

        Stacking weights are cross-validated on the features before alignment, with their augmented copies: aligned
        features hide what another device changes, and heads that read it would be preferred (held-out executions of
        stability with a simulated device response of 0.8 neper: 93 % against 88).

        Args:
            features: candidates by pooling.
            known: by pooling, [n, F] or [K, n, F] of the labelled rows, see `foundation.adapt.stacking_weights`.
            rows: the labelled rows of the training samples.
            targets, outputs, origin: of these rows, see `foundation.adapt.stacking_weights`.
        """
        weights = stacking_weights(known, targets, outputs, origin, seed)
        both = {name: self.aligned(name, features[name]) for name in weights.poolings}
        found = {}
        for part in next(iter(both.values())):
            train = {name: each[part][0][rows].astype(np.float32) for name, each in both.items()}
            test = {name: each[part][1].astype(np.float32) for name, each in both.items()}
            if self.method == "coral":
                found[part] = fit_weighted(weights, train, targets, outputs, seed).predict(test)
            else:
                found[part] = self_trained(weights, train, targets, test, outputs, seed)
        return found, weights.note
