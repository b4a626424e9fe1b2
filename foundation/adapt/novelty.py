"""How far a signal lies from the training signals: a mark for what a head was never fitted to.

Distance to the nearest training sample in the features of the frozen encoder (deep nearest neighbours, Sun et al. 2022,
arXiv 2204.06507), on their principal components. The limit is the 95 % quantile of the same distance of held-out
training samples: of other rooms, people, devices or sessions, as in `foundation.adapt.folds`, so that a new one of them
is no surprise by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foundation.models.projected import Projected

POOLING = "moments"  # which signals of any shape have
COMPONENTS = 32
SAMPLES = 512  # of the training signals that are kept, a random subset
QUANTILE = 0.95


@dataclass(frozen=True)
class Novelty:
    """Training samples on their principal components.

    Attributes:
        mean, project: float32 [F] and [F, k]: components are (features - mean) @ project.
        samples: float32 [m, k].
        limit: the distance that one in twenty held-out training samples exceeded; None: too few to hold some out.
    """

    mean: Tensor
    project: Tensor
    samples: Tensor
    limit: float | None

    @classmethod
    def fitted(cls, features: np.ndarray, folds: Sequence[tuple[np.ndarray, np.ndarray]], seed: int) -> Novelty:
        """
        Args:
            features: `POOLING` of the frozen encoder, float32 [n, F].
            folds: rows to train and to test, see `held_out_folds`.
            seed: of the subset that is kept.
        """
        beyond = [_summary(features[train], seed).distance(features[test]) for train, test in folds]
        limit = float(np.quantile(np.concatenate(beyond), QUANTILE)) if beyond else None
        whole = _summary(features, seed)
        return cls(whole.mean, whole.project, whole.samples, limit)

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Distance of every sample to the nearest training sample, float64 [n], in root-mean-square norms of these."""
        rows = (torch.from_numpy(features).float() - self.mean) @ self.project
        return torch.cdist(rows, self.samples).amin(1).double().numpy()


def _summary(features: np.ndarray, seed: int) -> Novelty:
    x = torch.from_numpy(features)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:SAMPLES]
    samples = Projected(x[order], torch.zeros(len(order), 1), 1, seed)
    some = slice(-COMPONENTS, None)  # the largest come last
    return Novelty(samples.mean.float(), samples.project[:, some].float(), samples.rows[:, some].float(), None)
