"""Self-training: the head learns from unlabelled test recordings what it is surest of, and looks at them again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from foundation.adapt import Weights, combined
from foundation.errors import RecipeError

ROUNDS = 5
SHARE = 0.5  # of the test samples, in the last round, as in the paper: what the head is not sure of teaches nothing


@torch.no_grad()
def self_trained(
    weights: Weights,
    train: Mapping[str, NDArray[np.float32]],
    targets: NDArray[np.int64],
    test: Mapping[str, NDArray[np.float32]],
    outputs: int,
    seed: int,
) -> NDArray[np.float32]:
    """Outputs [M, outputs] for the test samples, of a stack of kernel heads fitted to the training samples and, round
    by round, to more of the test samples, each as what the stack of the round before took it for.

    In every round the same share of each class that was found is taken, or the easiest class would be all that is
    learnt (class-balanced self-training: Zou et al. 2018, arXiv 1810.07911). How much each head counts stays as it was.

    Args:
        weights: of the heads, as held-out training sessions ask for, see `foundation.adapt.weigh`.
        train, test: features [N, F] and [M, F] by pooling, each side standardised on its own, so that what a device or
            an hour does to all samples alike is gone (as statistics of batch normalisation: Li et al. 2016, arXiv
            1603.04779).
        targets: [N] classes below `outputs`.

    Raises:
        RecipeError: the training samples are of one class only.
    """
    if len(np.unique(targets)) < 2:
        raise RecipeError("align: the training rows hold one class only; self-training needs at least two.")
    asked = torch.from_numpy(np.concatenate([test[name] for name in weights.poolings], axis=1))
    output = combined(weights, train, targets, outputs, seed)(asked)
    for turn in range(1, ROUNDS + 1):
        found = output.argmax(1)
        sure = _surest(output, found, SHARE * turn / ROUNDS)
        known = {name: np.concatenate([train[name], test[name][sure]]) for name in weights.poolings}
        told = np.concatenate([targets, found[sure].numpy()])
        output = combined(weights, known, told, outputs, seed)(asked)
    return np.asarray(output.numpy())


def _surest(output: torch.Tensor, found: torch.Tensor, share: float) -> torch.Tensor:
    """Rows of the largest margins between the first and the second class: this share of each class that was found."""
    first, second = output.topk(2, dim=1).values.T
    chosen = []
    for value in found.unique():
        rows = (found == value).nonzero().squeeze(1)
        order = (first - second)[rows].argsort(descending=True)
        chosen.append(rows[order[: max(1, round(share * len(rows)))]])
    return torch.cat(chosen)
