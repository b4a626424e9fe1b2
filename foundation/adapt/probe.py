"""Features of an encoder that stays as it is, and the head that fits them: where every adaptation starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.model_selection import GroupKFold
from torch import nn

from foundation.data.labelled import TokenSet
from foundation.models import KernelHead, pool

#: (ridge, bandwidth) of a kernel head, from trusting single labels to smoothing over many. The first is for clean labels of
#: well-told classes, the last for labels that recordings of another place contradict.
REGULARISATION = ((0.01, 2.0), (0.1, 1.0), (1.0, 1.0))
FOLDS = 4
COPIES = 2  # of every training sample
COMPARED = 1000  # samples at most that the choice is made on


@torch.no_grad()
def pooled_features(
    encoder: nn.Module,
    data: TokenSet,
    poolings: Sequence[str],
    rows: np.ndarray | None = None,
    augment: float = 0.0,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Features float32 [n, F] of an encoder that stays as it is, by pooling, in one pass; of these rows of `data`,
    default all, after a random device response where `augment` > 0."""
    chosen = np.arange(len(data)) if rows is None else rows
    found: dict[str, list[np.ndarray]] = {pooling: [] for pooling in poolings}
    for start in range(0, len(chosen), 128):
        batch = data.batch(chosen[start : start + 128], augment, seed + start)
        output = encoder(**batch)
        for pooling, parts in found.items():
            parts.append(pool(encoder, output, batch, pooling).float().numpy())
    return {pooling: np.concatenate(parts) for pooling, parts in found.items()}


def training_features(
    encoder: nn.Module, data: TokenSet, poolings: Sequence[str], rows: np.ndarray | None, augment: float
) -> dict[str, np.ndarray]:
    """What a head is fitted to, by pooling: frozen features [K, n, F] of the samples, and where `augment` > 0 of
    `COPIES` of each as other devices would have recorded it.

    With the copies a probe holds against a change of the device's response: on held-out training executions of the
    stability set with responses of 0.3 neper drawn anew, 85 % instead of 66 %, for 2 points where nothing changed.
    """
    seeds = [10_000_019 * (k + 1) for k in range(COPIES if augment > 0 else 0)]
    copies = [pooled_features(encoder, data, poolings, rows, augment, seed) for seed in seeds]
    every = [pooled_features(encoder, data, poolings, rows), *copies]
    return {pooling: np.stack([found[pooling] for found in every]) for pooling in poolings}


def probe_error(
    features: np.ndarray,
    targets: np.ndarray,
    outputs: int,
    sessions: Sequence[str],
    seed: int,
    regularisation: tuple[float, float] = REGULARISATION[1],
) -> float | None:
    """What a kernel head gets wrong in held-out training sessions: a share of classes, or a distance of numbers.

    Args as of `foundation.adapt.fit_head`. None where the labels are too few to tell.
    """
    errors = []
    for known, asked in held_out_folds(targets, sessions, seed):  # of samples: their copies are held out with them
        head = KernelHead.fitted(*stacked(features[..., known, :], targets[known]), outputs, seed, *regularisation)
        errors.append(_error(head, *stacked(features[..., asked, :], targets[asked])))
    return float(np.mean(errors)) if errors else None


def stacked(features: np.ndarray, targets: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Features [n, F] or of copies [K, n, F], and targets [n, ...], as [K n, F] and [K n, ...]."""
    x = torch.from_numpy(features.reshape(-1, features.shape[-1]))
    y = torch.from_numpy(targets)
    return x, torch.cat([y] * (len(x) // len(y)))


def held_out_folds(targets: np.ndarray, sessions: Sequence[str], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to test, of different sessions; of different stretches of every session and class
    where there are fewer than three sessions, or they have classes of their own. None where labels are too few to tell.

    Of two sessions each may tell nothing of the other, though both together tell of a third: from one training day of
    PolyU C to the other, features that find 78 % in a later month find 12 %.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(targets))[:COMPARED])
    classes = targets[rows] if targets.ndim == 1 else np.zeros(len(rows), np.int64)
    by_session = np.unique(list(sessions), return_inverse=True)[1][rows]
    stretches = np.zeros(len(rows), np.int64)
    for session, each in np.unique(np.stack([by_session, classes]), axis=1).T:
        own = np.flatnonzero((by_session == session) & (classes == each))
        stretches[own] = np.arange(len(own)) * FOLDS // len(own)
    for group, least in ((by_session, 3), (stretches, 2)):
        count = min(FOLDS, len(np.unique(group)))
        if count < least:
            continue
        folds = []
        for known, asked in GroupKFold(count).split(rows, groups=group):
            told = asked[np.isin(classes[asked], classes[known])]
            if 2 * len(told) >= len(asked) and (targets.ndim > 1 or len(np.unique(classes[known])) > 1):
                folds.append((rows[known], rows[told]))
        if folds:
            return folds
    return []


@torch.no_grad()
def _error(head: KernelHead, features: torch.Tensor, targets: torch.Tensor) -> float:
    """Share of wrong classes, or mean distance of numbers."""
    output = head(features)
    if targets.dtype == torch.int64:
        return float((output.argmax(1) != targets).float().mean())
    return float((output - targets).norm(dim=1).mean())
