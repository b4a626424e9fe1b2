"""Stacking: a weighted sum of heads on several poolings, with weights from cross-validation over training domains.

Stacked regression (Breiman 1996): weights are non-negative, sum to one and minimise the squared error of predictions
for held-out rooms, people, devices or sessions, here together with their distance from a prior, which was learned where
such domains are many (`foundation.adapt.prior`). Selecting a single pooling and head instead would discard what the
others contribute and change with every random label subset; most weights come out as zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls

from foundation.adapt.candidates import CANDIDATES, projected, stacked
from foundation.adapt.folds import WITHIN, held_out_folds
from foundation.adapt.prior import Candidate, prior_shares
from foundation.data.origins import Origin
from foundation.models import StackedHead
from foundation.models.kernel_head import Head
from foundation.models.projected import LOGIT_SCALE

FEW = "too few labels to choose by"
MIN_WEIGHT = 0.02  # smaller weights are set to zero
SUM_PENALTY = 100.0  # of the constraint that weights sum to one, relative to all held-out targets
CENTRES = 1024  # of kernels that are only weighed: an eighth of the time of twice as many
#: Labels that weigh as much as the prior (of 1 to 10,000 the best on training domains); and where no domain can be left
#: out, so that held-out samples are no harder than the others and say little.
TRUST, TRUST_WITHIN = 30.0, 1000.0


class Weights(NamedTuple):
    """Stacking weights.

    Attributes:
        shares: candidate -> weight > 0; they sum to one.
        poolings: the poolings of these candidates, in the order of the features.
        note: the poolings, and what was held out or why there was no choice, joined by `+`.
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
    features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, origin: Sequence[Origin], seed: int
) -> Stack:
    """Fit all candidates on all poolings and weight them by cross-validation; arguments as for `stacking_weights`."""
    return fit_weighted(stacking_weights(features, targets, outputs, origin, seed), features, targets, outputs, seed)


def stacking_weights(
    features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, origin: Sequence[Origin], seed: int
) -> Weights:
    """Weights of all candidates from the prior and from cross-validation over training domains; with too few labels for
    folds, from the prior alone.

    Args:
        features: by pooling, float32 [n, F], or [K, n, F] with augmented copies, see `training_features`.
        targets: int64 [n] classes below `outputs`, or float64 [n, outputs] numbers.
        outputs: number of classes or of target dimensions.
        origin: of every sample, see `held_out_folds`.
        seed: of the folds and of the kernel centres.
    """
    prior = prior_shares(list(features), list(CANDIDATES))
    known, held_out = held_out_predictions(features, targets, outputs, origin, seed)
    trust = TRUST_WITHIN if held_out == WITHIN else TRUST
    shares = _kept(prior if known is None else nearest_weights(*known, prior, trust / len(targets)))
    read = {pooling for pooling, _ in shares}
    poolings = tuple(name for name in features if name in read)
    why = FEW if known is None else f"leaving out each {held_out}"
    return Weights(shares, poolings, "+".join((*poolings, why)))


def fit_weighted(
    weights: Weights, features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, seed: int
) -> Stack:
    """Fit the candidates of `weights` to samples and combine them; features and targets as for `stacking_weights`."""
    parts: list[tuple[Head, int, float]] = []
    start = 0
    for pooling in weights.poolings:
        samples = projected(features[pooling], targets, outputs, seed)
        own = [(name, share) for (read, name), share in weights.shares.items() if read == pooling]
        parts += [(CANDIDATES[name](samples), start, share) for name, share in own]
        start += features[pooling].shape[-1]
    return Stack(StackedHead.of(parts), "+".join(weights.poolings), weights.note)


def fit_head(
    features: np.ndarray, targets: np.ndarray, outputs: int, origin: Sequence[Origin], seed: int
) -> StackedHead:
    """`fit_stack` on the features [n, F] or [K, n, F] of one pooling: weighs the kinds of head only."""
    return fit_stack({"features": features}, targets, outputs, origin, seed).head


@torch.no_grad()
def held_out_predictions(
    features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, origin: Sequence[Origin], seed: int
) -> tuple[tuple[dict[Candidate, np.ndarray], np.ndarray] | None, str]:
    """Predictions of every candidate for held-out samples and the truth, standardised by what each head was fitted to,
    or None where labels are too few; and what was held out."""
    predicted: dict[Candidate, list[np.ndarray]] = {each: [] for each in product(features, CANDIDATES)}
    true: list[np.ndarray] = []
    folds, held_out = held_out_folds(targets, origin, seed)
    for train, test in folds:  # copies of a sample are in the same fold
        for pooling, each in features.items():
            samples = projected(each[..., train, :], targets[train], outputs, seed, CENTRES)
            x, y = stacked(each[..., test, :], targets[test])
            for name, fitted in CANDIDATES.items():
                head = fitted(samples)
                predicted[pooling, name].append(_standardised(head(x), head))
        numbers = torch.nn.functional.one_hot(y, outputs) * LOGIT_SCALE if targets.ndim == 1 else y
        true.append(_standardised(numbers, head))
    if not true:
        return None, held_out
    return ({each: np.concatenate(parts).ravel() for each, parts in predicted.items()}, np.concatenate(true)), held_out


def nearest_weights(
    predicted: Mapping[Candidate, np.ndarray], truth: np.ndarray, prior: Mapping[Candidate, float], penalty: float
) -> dict[Candidate, float]:
    """Non-negative weights with sum one that minimise the squared error, in units of the truth's square, and `penalty`
    times the squared distance from the prior."""
    scale = 1 / max(float(np.linalg.norm(truth)), 1e-12)
    columns = np.stack([predicted[each] * scale for each in prior], axis=1)
    count, before = len(prior), np.array(list(prior.values()))
    # By the normal equations, whose size is that of the candidates and not of the samples.
    system = columns.T @ columns + SUM_PENALTY**2 + penalty * np.eye(count)
    factor = np.linalg.cholesky(system)
    right = columns.T @ truth.ravel() * scale + SUM_PENALTY**2 + penalty * before
    weight, _ = nnls(factor.T, np.linalg.solve(factor, right))
    return dict(zip(prior, (weight / weight.sum()).tolist(), strict=True))


def _kept(shares: Mapping[Candidate, float]) -> dict[Candidate, float]:
    """The shares that are not too small, with sum one."""
    large = {each: share for each, share in shares.items() if share >= min(MIN_WEIGHT, max(shares.values()))}
    total = sum(large.values())
    return {each: share / total for each, share in large.items()}


def _standardised(output: torch.Tensor, head: Head) -> np.ndarray:
    """float64 [n, outputs]: outputs in standard deviations of the head's training targets around their mean."""
    found: np.ndarray = ((output - head.target_mean) / head.target_std).double().numpy()
    return found
