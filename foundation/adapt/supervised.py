"""Fit a supervised baseline network (CNN, ResNet) with the loss and augmentation of fine-tuning."""

from __future__ import annotations

import numpy as np
import torch

from foundation.adapt.fit import optimise
from foundation.config import TuneSection
from foundation.data.images import FieldSet
from foundation.data.labelled import Target
from foundation.errors import TrainingError
from foundation.models import LinearHead, SupervisedName, SupervisedNetwork
from foundation.models.kernel_head import spread

#: Minimum number of steps (the few of a LoRA fit would be too few from random weights), and the learning rate.
STEPS, RATE = 300, 1e-3
STANDARDISED = 1000  # training samples, evenly spaced, for the mean and standard deviation of a channel


def fit_supervised(
    name: SupervisedName,
    data: FieldSet,
    rows: np.ndarray,
    targets: np.ndarray,
    target: Target,
    tune: TuneSection,
    seed: int,
    device: torch.device | str = "cpu",
) -> SupervisedNetwork:
    """Train the network `name` from random weights on these rows of `data`; arguments as for `fit`.

    Raises:
        TrainingError: there is only one labelled sample, or the loss is not finite.
    """
    if len(rows) < 2:
        raise TrainingError(f"mode {name} needs at least 2 labelled samples and has {len(rows)}; raise the fraction.")
    torch.manual_seed(seed)
    model = SupervisedNetwork(name, data.shape, target.size, tune.dropout)
    model.standardise_by(**data.batch(rows[:: 1 + len(rows) // STANDARDISED]))
    if target.classes is None:
        _scale_targets(model.head, targets[rows])
    model.to(device)
    groups = [{"params": list(model.parameters()), "lr": RATE}]
    optimise(model, groups, data, rows, targets, tune, max(STEPS, tune.steps), seed, f"fit {target.label} ({name})")
    return model


def _scale_targets(head: LinearHead, targets: np.ndarray) -> None:
    """Set the head's target scaling to mean and standard deviation of the training targets."""
    numbers = torch.from_numpy(targets)
    head.target_mean, head.target_std = numbers.mean(0), spread(numbers)
