"""Frozen features, and the head that a linear probe on them gives: where every adaptation starts."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from foundation.data.labelled import TokenSet
from foundation.models import TaskHead, WfmModel, pool


@torch.no_grad()
def frozen_features(encoder: WfmModel, data: TokenSet, pooling: str, rows: np.ndarray | None = None) -> np.ndarray:
    """Pooled features float32 [n, F] of an encoder that stays as it is; of these rows of `data`, default all."""
    chosen = np.arange(len(data)) if rows is None else rows
    batches = (data.batch(chosen[start : start + 128]) for start in range(0, len(chosen), 128))
    return np.concatenate([pool(encoder(**batch), batch, pooling).float().numpy() for batch in batches])


@torch.no_grad()
def start_from_probe(head: TaskHead, features: np.ndarray, targets: np.ndarray) -> None:
    """Set the head to a linear probe of frozen features [n, F], before anything is tuned.

    A random head would first bend the pretrained features towards itself, which costs most where the test domain
    differs from the training domain (Kumar et al. 2022, arXiv 2202.10054).
    """
    inputs = head.norm(torch.from_numpy(features)).numpy()
    if targets.ndim > 1:
        scaled = (targets - head.target_mean.numpy()) / head.target_std.numpy()
        probe = Ridge(alpha=10.0).fit(inputs, scaled)
        head.linear.weight.copy_(torch.from_numpy(np.atleast_2d(probe.coef_)))
        head.linear.bias.copy_(torch.from_numpy(np.atleast_1d(probe.intercept_)))
        return
    classes, coded = np.unique(targets, return_inverse=True)
    if len(classes) < 3:
        return  # scikit-learn has one row of weights for two classes; such a head is quick to learn anyway
    probe = LogisticRegression(C=0.1, max_iter=500, tol=1e-3).fit(inputs, coded)
    head.linear.weight[classes] = torch.from_numpy(probe.coef_).float()
    head.linear.bias[classes] = torch.from_numpy(probe.intercept_).float()
