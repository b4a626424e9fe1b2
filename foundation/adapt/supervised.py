"""Fit a supervised baseline network (CNN, ResNet) with the loss and augmentation of fine-tuning, as configured or as
tuned on held-out training sessions."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import torch

from foundation.adapt.fit import optimise
from foundation.adapt.folds import held_out_folds
from foundation.config import TuneSection
from foundation.data.images import FieldSet
from foundation.data.labelled import Target
from foundation.data.origins import origins
from foundation.errors import TrainingError
from foundation.models import LinearHead, SupervisedName, SupervisedNetwork
from foundation.models.projected import spread

#: Minimum number of steps (the few of a LoRA fit would be too few from random weights), and the learning rate.
STEPS, RATE = 300, 1e-3
STANDARDISED = 1000  # training samples, evenly spaced, for the mean and standard deviation of a channel
#: What `tune.search` chooses from, twelve configurations; augmentation is that of the recipe, if it has any.
RATES, STEP_FACTORS, AUGMENT = (1e-3, 3e-4, 3e-3), (1, 3), 0.15
SEARCH_FOLDS = 2  # of the held-out folds of training sessions


class Configuration(NamedTuple):
    """How a supervised network is trained: peak learning rate, steps, and augmentation in nepers."""

    rate: float
    steps: int
    augment: float

    def __str__(self) -> str:
        return f"rate {self.rate:g}, {self.steps} steps, augment {self.augment:g}"

    @classmethod
    def of(cls, tune: TuneSection) -> Configuration:
        """The one that is not searched for."""
        return cls(RATE, max(STEPS, tune.steps), tune.augment)


def fit_supervised(
    name: SupervisedName,
    data: FieldSet,
    rows: np.ndarray,
    targets: np.ndarray,
    target: Target,
    tune: TuneSection,
    seed: int,
    device: torch.device | str = "cpu",
    how: Configuration | None = None,
) -> SupervisedNetwork:
    """Train the network `name` from random weights on these rows of `data`; arguments as for `fit`.

    Args:
        how: learning rate, steps and augmentation; default those of `tune`.

    Raises:
        TrainingError: there is only one labelled sample, or the loss is not finite.
    """
    if len(rows) < 2:
        raise TrainingError(f"mode {name} needs at least 2 labelled samples and has {len(rows)}; raise the fraction.")
    how = how or Configuration.of(tune)
    torch.manual_seed(seed)
    model = SupervisedNetwork(name, data.shape, target.size, tune.dropout)
    model.standardise_by(**data.batch(rows[:: 1 + len(rows) // STANDARDISED]))
    if target.classes is None:
        _scale_targets(model.head, targets[rows])
    model.to(device)
    groups = [{"params": list(model.parameters()), "lr": how.rate}]
    tune = tune.model_copy(update={"augment": how.augment})
    optimise(model, groups, data, rows, targets, tune, how.steps, seed, f"fit {target.label} ({name})")
    return model


def search_supervised(
    name: SupervisedName,
    data: FieldSet,
    rows: np.ndarray,
    targets: np.ndarray,
    target: Target,
    tune: TuneSection,
    seed: int,
    device: torch.device | str = "cpu",
) -> tuple[Configuration, str]:
    """The best of the first `tune.search` configurations on held-out sessions of these training rows, and a note.

    Held-out samples count as recorded and, where heads see augmented copies, once more as of another device, as in the
    weights of a stack. Arguments as for `fit_supervised`.
    """
    best, lowest = Configuration.of(tune), np.inf
    folds = held_out_folds(targets[rows], origins(data.signals[i] for i in rows), seed).rows[:SEARCH_FOLDS]
    if not folds:
        return best, f"{best}, too few labels to choose by"
    for factor, augment, rate in list(product(STEP_FACTORS, (tune.augment or AUGMENT, 0.0), RATES))[: tune.search]:
        how = Configuration(rate, factor * max(STEPS, tune.steps), augment)
        try:
            errors = []
            for train, test in folds:
                model = fit_supervised(name, data, rows[train], targets, target, tune, seed, device, how)
                errors.append(_error(model, data, rows[test], targets, tune.augment, seed))
        except TrainingError:  # a rate that does not converge, or a fold of one sample
            continue
        if np.mean(errors) < lowest:
            best, lowest = how, float(np.mean(errors))
    return best, str(best)


@torch.no_grad()
def _error(
    model: SupervisedNetwork, data: FieldSet, rows: np.ndarray, targets: np.ndarray, augment: float, seed: int
) -> float:
    """Error rate of classes or mean distance of numbers, over these rows as recorded and with augmentation."""
    errors = []
    for std in dict.fromkeys((0.0, augment)):
        for start in range(0, len(rows), 128):
            some = rows[start : start + 128]
            found = model(**model.inputs(data.batch(some, std, seed + start))).double().cpu().numpy()
            truth = targets[some]
            errors.append(found.argmax(1) != truth if truth.ndim == 1 else np.linalg.norm(found - truth, axis=1))
    return float(np.concatenate(errors).mean())


def _scale_targets(head: LinearHead, targets: np.ndarray) -> None:
    """Set the head's target scaling to mean and standard deviation of the training targets."""
    numbers = torch.from_numpy(targets)
    head.target_mean, head.target_std = numbers.mean(0), spread(numbers)
