"""Heads that have read the test recordings without their labels: features aligned, and a stack fitted to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from foundation.adapt import combined, weigh
from foundation.evaluate.baselines.coral import coral, standardise
from foundation.evaluate.baselines.self_training import self_trained

#: Features of the training samples (key None) and of each test part.
Features = Mapping[str | None, np.ndarray]
#: By test part, the features of the training samples and of its own, aligned with one another.
Aligned = Mapping[str, tuple[np.ndarray, np.ndarray]]


class Aligner:
    """One of the recipe's ways, `coral` or `self-training`; what it has aligned last is kept."""

    def __init__(self, way: str) -> None:
        self.way = way
        self._kept: dict[str, tuple[Features, Aligned]] = {}

    def aligned(self, name: str, features: Features) -> Aligned:
        """Features of this name, such as a pooling; of another object of the same name anew."""
        if name not in self._kept or self._kept[name][0] is not features:
            train = features[None]
            found = {part: self._both(train, test) for part, test in features.items() if part is not None}
            self._kept[name] = features, found
        return self._kept[name][1]

    def _both(self, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return coral(train, test) if self.way == "coral" else (standardise(train), standardise(test))

    @torch.no_grad()
    def stack(
        self,
        features: Mapping[str, Features],
        known: Mapping[str, np.ndarray],
        rows: np.ndarray,
        targets: np.ndarray,
        outputs: int,
        sessions: Sequence[str],
        seed: int,
    ) -> tuple[dict[str, np.ndarray], str]:
        """What a stack of heads says of each test part, [M, outputs], and what to note of its poolings.

        How much each head counts is decided on the features as they are, with copies as of other devices where fits
        have them: among aligned training features nothing tells of another device, and heads would be preferred that
        read what it changes (held-out executions of stability as of another device, 0.8 neper: 93 % against 88).

        Args:
            features: that heads may read, by pooling.
            known: by pooling, [n, F] or [K, n, F] of the labelled rows, see `foundation.adapt.weigh`.
            rows: the labelled rows of the training samples.
            targets, outputs, sessions: of these rows, see `foundation.adapt.weigh`.
        """
        weights = weigh(known, targets, outputs, sessions, seed)
        both = {name: self.aligned(name, features[name]) for name in weights.poolings}
        found = {}
        for part in next(iter(both.values())):
            train = {name: each[part][0][rows].astype(np.float32) for name, each in both.items()}
            test = {name: each[part][1].astype(np.float32) for name, each in both.items()}
            if self.way == "coral":
                asked = torch.from_numpy(np.concatenate(list(test.values()), axis=1))
                found[part] = combined(weights, train, targets, outputs, seed)(asked).numpy()
            else:
                found[part] = self_trained(weights, train, targets, test, outputs, seed)
        return found, weights.note
