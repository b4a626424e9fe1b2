"""Several heads on several poolings as one: how much each of them counts, decided on training recordings alone.

Stacked regression (Breiman 1996): weights that are not negative and add up to one, by least squares on what the heads
say of held-out training sessions. Choosing one pooling and one regularisation throws away what the others tell, and chooses
anew with every draw of labels; most weights come out as zero.
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
from foundation.models.kernel_head import SHARPNESS

LEAST = 0.05  # weights below it are not worth a head
FIRM = 100.0  # how much more the weights' sum counts than all that is held out

Candidate = tuple[str, tuple[float, float]]  # pooling, regularisation


class Weights(NamedTuple):
    """How much each candidate counts, the poolings that any of them reads, in order, and what to note of them."""

    shares: Mapping[Candidate, float]
    poolings: tuple[str, ...]
    note: str


class Stack(NamedTuple):
    """A head with the poolings that it reads, in order and joined by `+`, and what to note of them."""

    head: StackedHead
    pooling: str
    note: str


def fit_stack(
    features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, sessions: Sequence[str], seed: int
) -> Stack:
    """The heads of all poolings and regularisations, weighted as held-out training sessions ask for; of args as `weigh`."""
    weights = weigh(features, targets, outputs, sessions, seed)
    return Stack(combined(weights, features, targets, outputs, seed), "+".join(weights.poolings), weights.note)


def weigh(
    features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, sessions: Sequence[str], seed: int
) -> Weights:
    """How much each candidate counts. Where labels are too few to tell, all poolings count alike: any one of them
    would be the wrong one for some kind of signal (one label a class, held-out training sessions: 49 % against 31 of
    `moments` on stability, 29 against 16 on PolyU, 52 against 60 on RadHAR).

    Args:
        features: by pooling, float32 [n, F], or [K, n, F] of copies of the same samples, see `training_features`.
        targets: int64 [n] classes below `outputs`, or float32 [n, outputs] numbers.
        sessions: of every sample. Where one cannot tell of another, stretches of samples are held out.
    """
    shares = _shares(features, targets, outputs, sessions, seed)
    if not shares:
        alike = {(name, REGULARISATION[1]): 1 / len(features) for name in features}
        return Weights(alike, tuple(features), "all, too few labels to choose by")
    read = {pooling for pooling, _ in shares}
    poolings = tuple(name for name in features if name in read)
    return Weights(shares, poolings, "+".join(poolings))


def combined(
    weights: Weights, features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, seed: int
) -> StackedHead:
    """The heads that count, fitted to these samples: it reads the features of `weights.poolings`, side by side."""
    ends = np.cumsum([features[name].shape[-1] for name in weights.poolings]).tolist()
    starts = dict(zip(weights.poolings, [0, *ends[:-1]], strict=True))
    parts = [
        (KernelHead.fitted(*stacked(features[name], targets), outputs, seed, *regularisation), starts[name], share)
        for (name, regularisation), share in weights.shares.items()
    ]
    return StackedHead.of(parts)


def fit_head(
    features: np.ndarray, targets: np.ndarray, outputs: int, sessions: Sequence[str], seed: int
) -> StackedHead:
    """As `fit_stack`, on features [n, F] or [K, n, F] of one pooling: as stiff as held-out sessions ask for."""
    return fit_stack({"features": features}, targets, outputs, sessions, seed).head


@torch.no_grad()
def _shares(
    features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, sessions: Sequence[str], seed: int
) -> dict[Candidate, float]:
    """How much each candidate counts, where that is more than nothing; empty where labels are too few to tell."""
    said: dict[Candidate, list[np.ndarray]] = {candidate: [] for candidate in product(features, REGULARISATION)}
    true: list[np.ndarray] = []
    for known, asked in held_out_folds(targets, sessions, seed):  # of samples: their copies are held out with them
        for name, each in features.items():
            heads = KernelHead.fitted_alike(
                *stacked(each[..., known, :], targets[known]), outputs, seed, REGULARISATION
            )
            x, y = stacked(each[..., asked, :], targets[asked])
            for regularisation, head in zip(REGULARISATION, heads, strict=True):
                said[name, regularisation].append(_standard(head(x), head))
        numbers = torch.nn.functional.one_hot(y, outputs) * SHARPNESS if targets.ndim == 1 else y
        true.append(_standard(numbers, head))
    if not true:
        return {}
    truth = np.concatenate(true)
    scale = 1 / max(float(np.linalg.norm(truth)), 1e-12)
    columns = np.stack([np.concatenate(answers).ravel() * scale for answers in said.values()], axis=1)
    weight, _ = nnls(np.vstack([columns, np.full(len(said), FIRM)]), np.append(truth.ravel() * scale, FIRM))
    weight = np.where(weight >= min(LEAST, weight.max()), weight, 0.0)
    share = weight / weight.sum()
    return {candidate: float(each) for candidate, each in zip(said, share, strict=True) if each > 0}


def _standard(output: torch.Tensor, head: KernelHead) -> np.ndarray:
    """Outputs of a fit [n, outputs], in units of the spread of its targets around their mean."""
    found: np.ndarray = ((output - head.target_mean) / head.target_std).double().numpy()
    return found
