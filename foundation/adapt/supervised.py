"""Fit a supervised baseline: the loss and the augmentation of every other fit, and steps enough to learn."""

from __future__ import annotations

import numpy as np
import torch

from foundation.adapt.fit import descend
from foundation.config import TuneSection
from foundation.data.images import FieldSet
from foundation.data.labelled import Target
from foundation.errors import TrainingError
from foundation.models import LinearHead, SupervisedName, SupervisedNetwork

STEPS, RATE = 300, 1e-3  # at least; from random weights the few steps of a LoRA fit would only flatter the encoder
STANDARDISED = 1000  # training samples, spread evenly, that say what the mean and deviation of a channel are


def fit_supervised(
    name: SupervisedName,
    data: FieldSet,
    rows: np.ndarray,
    targets: np.ndarray,
    target: Target,
    tune: TuneSection,
    seed: int,
) -> SupervisedNetwork:
    """Train `name` from random weights on these rows of `data`, as `fit` does in mode scratch; arguments as there.

    Raises:
        TrainingError: there is one labelled sample only, or the loss is not finite.
    """
    if len(rows) < 2:
        raise TrainingError(f"mode {name} needs at least 2 labelled samples and has {len(rows)}; raise the fraction.")
    torch.manual_seed(seed)
    model = SupervisedNetwork(name, data.shape, target.size, tune.dropout)
    model.standardise_by(**data.batch(rows[:: 1 + len(rows) // STANDARDISED]))
    if target.classes is None:
        _scale_targets(model.head, targets[rows])
    groups = [{"params": list(model.parameters()), "lr": RATE}]
    descend(model, groups, data, rows, targets, tune, max(STEPS, tune.steps), seed, f"fit {target.label} ({name})")
    return model


def _scale_targets(head: LinearHead, targets: np.ndarray) -> None:
    """Numbers are learnt in units of their own spread."""
    head.target_mean.copy_(torch.from_numpy(targets.mean(0)))
    head.target_std.copy_(torch.from_numpy(targets.std(0)).clamp(min=1e-3))
