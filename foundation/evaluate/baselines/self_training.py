"""Self-training with class-balanced pseudo-labels (Zou et al. 2018, arXiv 1810.07911) on unlabelled test recordings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from foundation.adapt import Weights, fit_weighted
from foundation.errors import RecipeError

ROUNDS = 5
SHARE = 0.5  # of the test samples that are pseudo-labelled in the last round, as in the paper


@torch.no_grad()
def self_trained(
    weights: Weights,
    train: Mapping[str, NDArray[np.float32]],
    targets: NDArray[np.int64],
    test: Mapping[str, NDArray[np.float32]],
    outputs: int,
    seed: int,
) -> NDArray[np.float32]:
    """Outputs [M, outputs] for the test samples, of a stack fitted to the training samples and, in each round, to more
    of the test samples with the labels that the previous round predicted.

    Every round takes the same share of each predicted class, the most confident samples first, so that the easiest
    class does not dominate. The stacking weights are fixed.

    Args:
        weights: see `foundation.adapt.stacking_weights`.
        train, test: features [N, F] and [M, F] by pooling, each standardised on its own, which removes what affects all
            samples of a side alike (as batch-normalisation statistics do: Li et al. 2016, arXiv 1603.04779).
        targets: int64 [N] classes below `outputs`.

    Raises:
        RecipeError: the training samples have only one class.
    """
    if len(np.unique(targets)) < 2:
        raise RecipeError("align: the training rows hold one class only; self-training needs at least two.")
    output = torch.from_numpy(fit_weighted(weights, train, targets, outputs, seed).predict(test))
    for number in range(1, ROUNDS + 1):
        found = output.argmax(1)
        sure = _most_confident(output, found, SHARE * number / ROUNDS)
        features = {name: np.concatenate([train[name], test[name][sure]]) for name in weights.poolings}
        labels = np.concatenate([targets, found[sure].numpy()])
        output = torch.from_numpy(fit_weighted(weights, features, labels, outputs, seed).predict(test))
    return np.asarray(output.numpy())


def _most_confident(output: torch.Tensor, found: torch.Tensor, share: float) -> torch.Tensor:
    """This share of the rows of each predicted class, those with the largest margin to the second class."""
    first, second = output.topk(2, dim=1).values.T
    chosen = []
    for value in found.unique():
        rows = (found == value).nonzero().squeeze(1)
        order = (first - second)[rows].argsort(descending=True)
        chosen.append(rows[order[: max(1, round(share * len(rows)))]])
    return torch.cat(chosen)
