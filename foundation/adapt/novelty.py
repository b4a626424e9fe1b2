"""How far a signal lies from the training signals: a mark for what a head was never fitted to.

Distance to the nearest training sample in features of the frozen encoder and in statistics of the signal, of equal
weight (deep nearest neighbours, Sun et al. 2022, arXiv 2204.06507), on their principal components. The encoder alone
takes noise for an empty room: both are dynamics without a person, and only levels tell how strong they are. The limit
is the 95 % quantile of the same distance of held-out training samples: of other rooms, people, devices or sessions, as
in `foundation.adapt.folds`, so that a new one of them is no surprise by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

POOLINGS = ("moments", "statistics")  # which signals of any shape have
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
    def fitted(
        cls, found: Mapping[str, np.ndarray], folds: Sequence[tuple[np.ndarray, np.ndarray]], seed: int
    ) -> Novelty:
        """
        Args:
            found: `POOLINGS` of the frozen encoder, float32 [n, F] each.
            folds: rows to train and to test, see `held_out_folds`.
            seed: of the subset that is kept.
        """

        def some(rows: np.ndarray) -> dict[str, np.ndarray]:
            return {pooling: features[rows] for pooling, features in found.items()}

        beyond = [_summary(some(train), seed).distance(some(test)) for train, test in folds]
        limit = float(np.quantile(np.concatenate(beyond), QUANTILE)) if beyond else None
        return replace(_summary(found, seed), limit=limit)

    def distance(self, found: Mapping[str, np.ndarray]) -> np.ndarray:
        """Distance of every sample to the nearest training sample, float64 [n], in root-mean-square norms of these."""
        x = _joined(found)[:, : len(self.mean)]  # what an earlier version wrote knows the first pooling alone
        return torch.cdist((x - self.mean) @ self.project, self.samples).amin(1).double().numpy()


def _joined(found: Mapping[str, np.ndarray]) -> Tensor:
    return torch.cat([torch.from_numpy(found[pooling]).float() for pooling in POOLINGS], dim=1)


def _summary(found: Mapping[str, np.ndarray], seed: int) -> Novelty:
    x = _joined(found)
    x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:SAMPLES]].double()
    mean, std = x.mean(0), x.std(0, correction=0)
    entries = torch.cat([torch.full((found[pooling].shape[1],), found[pooling].shape[1]) for pooling in POOLINGS])
    scale = torch.where(std > 1e-6 * std.mean(), 1 / std, 0.0) * (len(POOLINGS) * entries).rsqrt()
    components = torch.linalg.svd((x - mean) * scale, full_matrices=False).Vh[:COMPONENTS].mT
    project = scale[:, None] * components
    return Novelty(mean.float(), project.float(), ((x - mean) @ project).float(), None)
