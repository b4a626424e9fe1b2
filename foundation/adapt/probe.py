"""Frozen-encoder features and cross-validation folds for the heads that are fitted to them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from sklearn.model_selection import GroupKFold
from torch import nn

from foundation.data.labelled import AUGMENTED_TOGETHER, TokenSet, copy_seeds
from foundation.models import KernelHead, pool
from foundation.models.structure import inputs_of

#: Candidates (ridge, bandwidth) of a kernel head, from weak regularisation (clean labels, well separated classes) to
#: strong (labels that other recordings contradict).
REGULARISATION = ((0.01, 2.0), (0.1, 1.0), (1.0, 1.0))
FOLDS = 4
MAX_SAMPLES = 1000  # in cross-validation; more are subsampled


@torch.no_grad()
def pooled_features(
    encoder: nn.Module,
    data: TokenSet,
    poolings: Sequence[str],
    rows: np.ndarray | None = None,
    augment: float = 0.0,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Features of a frozen encoder, float32 [n, F] by pooling, computed in one pass.

    Args:
        rows: indices into `data`; default all.
        augment: strength of the random device response in nepers; 0 is none.
        seed: of the augmentation.
    """
    chosen = np.arange(len(data)) if rows is None else rows
    device = next(chain(encoder.parameters(), encoder.buffers())).device  # the closed form has no parameters
    found: dict[str, torch.Tensor] = {}  # where the encoder is: each pooling is fetched once
    for start in range(0, len(chosen), AUGMENTED_TOGETHER):
        done = start
        for piece in data.pieces(chosen[start : start + AUGMENTED_TOGETHER], augment, seed + start):
            inputs = inputs_of(piece, len(data.spec.patch_shapes), device)
            output = encoder(**inputs)
            for pooling in poolings:
                part = pool(encoder, output, inputs, pooling).float()
                if pooling not in found:
                    found[pooling] = part.new_empty(len(chosen), part.shape[1])
                found[pooling][done : done + len(part)] = part
            done += len(piece["kind"])
    return {pooling: features.cpu().numpy() for pooling, features in found.items()}


def training_features(
    encoder: nn.Module, data: TokenSet, poolings: Sequence[str], rows: np.ndarray | None, augment: float
) -> dict[str, np.ndarray]:
    """Frozen features that a head is fitted to, float32 [K, n, F] by pooling; K is 1, or with `augment` > 0 three.

    The first entry is the samples as recorded, the others are copies with random device responses, which make a probe
    robust to a change of device: on held-out training executions of the stability set with random responses of
    0.3 neper 85 % instead of 66 %, at a cost of 2 points where nothing changed.
    """
    copies = [pooled_features(encoder, data, poolings, rows, augment, seed) for seed in copy_seeds(augment)]
    recorded = pooled_features(encoder, data, poolings, rows)
    return {
        pooling: np.stack([first, *(found[pooling] for found in copies)]) if copies else first[None]
        for pooling, first in recorded.items()
    }


def probe_error(
    features: np.ndarray,
    targets: np.ndarray,
    outputs: int,
    sessions: Sequence[str],
    seed: int,
    regularisation: tuple[float, float] = REGULARISATION[1],
) -> float | None:
    """Cross-validated error of a kernel head over training sessions: error rate of classes, mean distance of numbers.

    Arguments as for `foundation.adapt.fit_head`. None if there are too few labels for folds.
    """
    errors = []
    for train, test in held_out_folds(targets, sessions, seed):  # copies of a sample are in the same fold
        head = KernelHead.fitted(*stacked(features[..., train, :], targets[train]), outputs, seed, *regularisation)
        errors.append(_error(head, *stacked(features[..., test, :], targets[test])))
    return float(np.mean(errors)) if errors else None


def stacked(features: np.ndarray, targets: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Flatten copies: features [n, F] or [K, n, F] and targets [n, ...] to [K n, F] and [K n, ...]."""
    x = torch.from_numpy(features.reshape(-1, features.shape[-1]))
    y = torch.from_numpy(targets)
    return x, torch.cat([y] * (len(x) // len(y)))


def held_out_folds(targets: np.ndarray, sessions: Sequence[str], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cross-validation folds (training rows, test rows), grouped by session; empty if there are too few labels.

    With fewer than three sessions, or sessions that do not share classes, the groups are contiguous blocks of every
    session and class. Two sessions are not enough, because each may say nothing about the other although both together
    predict a third: between the two training days of PolyU C, features that reach 78 % in a later month reach 12 %.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(targets))[:MAX_SAMPLES])
    classes = targets[rows] if targets.ndim == 1 else np.zeros(len(rows), np.int64)
    by_session = np.unique(list(sessions), return_inverse=True)[1][rows]
    by_block = np.zeros(len(rows), np.int64)
    for session, each in np.unique(np.stack([by_session, classes]), axis=1).T:
        own = np.flatnonzero((by_session == session) & (classes == each))
        by_block[own] = np.arange(len(own)) * FOLDS // len(own)
    for group, minimum in ((by_session, 3), (by_block, 2)):
        count = min(FOLDS, len(np.unique(group)))
        if count < minimum:
            continue
        folds = []
        for train, test in GroupKFold(count).split(rows, groups=group):
            shared = test[np.isin(classes[test], classes[train])]
            if 2 * len(shared) >= len(test) and (targets.ndim > 1 or len(np.unique(classes[train])) > 1):
                folds.append((rows[train], rows[shared]))
        if folds:
            return folds
    return []


@torch.no_grad()
def _error(head: KernelHead, features: torch.Tensor, targets: torch.Tensor) -> float:
    """Error rate of classes, or mean Euclidean distance of numbers."""
    output = head(features)
    if targets.dtype == torch.int64:
        return float((output.argmax(1) != targets).float().mean())
    return float((output - targets).norm(dim=1).mean())
