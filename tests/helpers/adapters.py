"""Fits of tiny adapters for tests."""

from __future__ import annotations

import numpy as np

from foundation.adapt import fit
from foundation.config import TuneSection
from foundation.data.labelled import Target, TokenSet
from foundation.models import TaskModel, WfmModel

TUNE = TuneSection(steps=30, batch_size=8, learning_rate=5e-3, dropout=0.1)


def fit_tiny(encoder: WfmModel, data: TokenSet, target: Target, mode: str = "lora", **tune: object) -> TaskModel:
    """A task model fitted in 30 steps to all samples of `data`."""
    rows, targets = np.arange(len(data)), target.encode(data.signals)
    return fit(encoder, data, rows, targets, target, mode, TUNE.model_copy(update=tune), seed=0)  # type: ignore[arg-type]
