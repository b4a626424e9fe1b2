"""Stacking: a weighted sum of kernel heads on several poolings, with weights from cross-validation over sessions.

Stacked regression (Breiman 1996): weights are non-negative, sum to one and minimise the squared error of held-out
predictions on training sessions. Selecting a single pooling and regularisation instead would discard what the others
contribute and change with every random label subset; most weights come out as zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls

from foundation.adapt.probe import REGULARISATION, held_out_folds, stacked
from foundation.models import KernelHead, StackedHead
from foundation.models.kernel_head import LOGIT_SCALE

MIN_WEIGHT = 0.05  # smaller weights are set to zero
SUM_PENALTY = 100.0  # of the constraint that weights sum to one, relative to all held-out targets

Candidate = tuple[str, tuple[float, float]]  # pooling, (ridge, bandwidth) of `REGULARISATION`


class Weights(NamedTuple):
    """Stacking weights.

    Attributes:
        shares: candidate -> weight > 0; they sum to one.
        poolings: the poolings of these candidates, in the order of the features.
        note: the poolings as text, and why there was no choice.
    """

    shares: Mapping[Candidate, float]
    poolings: tuple[str, ...]
    note: str


class Stack(NamedTuple):
    """A fitted stack: its head, the poolings that it reads in order, joined by `+`, and a note on their choice."""

    head: StackedHead
    pooling: str
    note: str

    @torch.no_grad()
    def predict(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Logits float32 or numbers float64, [n, outputs].

        Args:
            features: float32 [n, F] by pooling; poolings that the stack does not read may be missing.
        """
        pooled = np.concatenate([features[name] for name in self.pooling.split("+")], axis=1)
        return np.asarray(self.head(torch.from_numpy(pooled)).numpy())


def fit_stack(
    features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, sessions: Sequence[str], seed: int
) -> Stack:
    """Fit heads on all poolings and regularisations and weight them by cross-validation; arguments as for
    `stacking_weights`."""
    return fit_weighted(stacking_weights(features, targets, outputs, sessions, seed), features, targets, outputs, seed)


def stacking_weights(
    features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, sessions: Sequence[str], seed: int
) -> Weights:
    """Weights of all candidates from cross-validation over training sessions.

    With too few labels for folds, all poolings have equal weights: any single one would be wrong for some kind of
    signal (one label per class, held-out training sessions: 49 % against 31 with `moments` alone on stability, 29
    against 16 on PolyU, 52 against 60 on RadHAR).

    Args:
        features: by pooling, float32 [n, F], or [K, n, F] with augmented copies, see `training_features`.
        targets: int64 [n] classes below `outputs`, or float64 [n, outputs] numbers.
        outputs: number of classes or of target dimensions.
        sessions: session of every sample, see `held_out_folds`.
        seed: of the folds and of the kernel centres.
    """
    shares = _shares(features, targets, outputs, sessions, seed)
    if not shares:
        equal = {(name, REGULARISATION[1]): 1 / len(features) for name in features}
        return Weights(equal, tuple(features), "all, too few labels to choose by")
    read = {pooling for pooling, _ in shares}
    poolings = tuple(name for name in features if name in read)
    return Weights(shares, poolings, "+".join(poolings))


def fit_weighted(
    weights: Weights, features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, seed: int
) -> Stack:
    """Fit the candidates of `weights` to samples and combine them; features and targets as for `stacking_weights`."""
    ends = np.cumsum([features[name].shape[-1] for name in weights.poolings]).tolist()
    starts = dict(zip(weights.poolings, [0, *ends[:-1]], strict=True))
    parts = [
        (KernelHead.fitted(*stacked(features[name], targets), outputs, seed, *regularisation), starts[name], share)
        for (name, regularisation), share in weights.shares.items()
    ]
    return Stack(StackedHead.of(parts), "+".join(weights.poolings), weights.note)


def fit_head(
    features: np.ndarray, targets: np.ndarray, outputs: int, sessions: Sequence[str], seed: int
) -> StackedHead:
    """`fit_stack` on the features [n, F] or [K, n, F] of one pooling: cross-validates the regularisation only."""
    return fit_stack({"features": features}, targets, outputs, sessions, seed).head


@torch.no_grad()
def _shares(
    features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, sessions: Sequence[str], seed: int
) -> dict[Candidate, float]:
    """Candidates with a weight > 0; empty if there are too few labels for folds."""
    predicted: dict[Candidate, list[np.ndarray]] = {candidate: [] for candidate in product(features, REGULARISATION)}
    true: list[np.ndarray] = []
    for train, test in held_out_folds(targets, sessions, seed):  # copies of a sample are in the same fold
        for name, each in features.items():
            heads = KernelHead.fitted_many(*stacked(each[..., train, :], targets[train]), outputs, seed, REGULARISATION)
            x, y = stacked(each[..., test, :], targets[test])
            for regularisation, head in zip(REGULARISATION, heads, strict=True):
                predicted[name, regularisation].append(_standardised(head(x), head))
        numbers = torch.nn.functional.one_hot(y, outputs) * LOGIT_SCALE if targets.ndim == 1 else y
        true.append(_standardised(numbers, head))
    if not true:
        return {}
    truth = np.concatenate(true)
    scale = 1 / max(float(np.linalg.norm(truth)), 1e-12)
    columns = np.stack([np.concatenate(folds).ravel() * scale for folds in predicted.values()], axis=1)
    system = np.vstack([columns, np.full(len(predicted), SUM_PENALTY)])
    weight, _ = nnls(system, np.append(truth.ravel() * scale, SUM_PENALTY))
    weight = np.where(weight >= min(MIN_WEIGHT, weight.max()), weight, 0.0)
    share = weight / weight.sum()
    return {candidate: float(each) for candidate, each in zip(predicted, share, strict=True) if each > 0}


def _standardised(output: torch.Tensor, head: KernelHead) -> np.ndarray:
    """float64 [n, outputs]: outputs in standard deviations of the head's training targets around their mean."""
    found: np.ndarray = ((output - head.target_mean) / head.target_std).double().numpy()
    return found
