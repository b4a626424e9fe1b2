"""Frozen features, and the head that a linear probe on them gives: where every adaptation starts."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

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
    # The probe sees standardised features, so that none is held down for being small; the head takes them as they are.
    scaler = StandardScaler().fit(inputs)
    inputs = scaler.transform(inputs)
    if targets.ndim > 1:
        scaled = (targets - head.target_mean.numpy()) / head.target_std.numpy()
        probe, rows = Ridge(alpha=10.0).fit(inputs, scaled), np.arange(targets.shape[1])
    else:
        classes, coded = np.unique(targets, return_inverse=True)
        if len(classes) < 3:
            return  # scikit-learn has one row of weights for two classes; such a head is quick to learn anyway
        probe, rows = LogisticRegression(C=0.03, max_iter=500, tol=1e-3).fit(inputs, coded), classes
    weight = np.atleast_2d(probe.coef_) / scaler.scale_
    head.linear.weight[rows] = torch.from_numpy(weight).float()
    head.linear.bias[rows] = torch.from_numpy(np.atleast_1d(probe.intercept_) - weight @ scaler.mean_).float()
