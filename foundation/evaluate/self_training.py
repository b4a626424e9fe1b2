"""Self-training: the head learns from unlabelled test recordings what it is surest of, and looks at them again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from foundation.adapt import pick_stiffness
from foundation.errors import RecipeError
from foundation.models import KernelHead

ROUNDS = 5
SHARE = 0.5  # of the test samples, in the last round, as in the paper: what the head is not sure of teaches nothing


@torch.no_grad()
def self_trained(
    train: NDArray[np.float64],
    targets: NDArray[np.int64],
    test: NDArray[np.float64],
    outputs: int,
    sessions: Sequence[str],
    seed: int,
) -> NDArray[np.int64]:
    """Classes [M] of the test samples, by a kernel head fitted to the training samples and, round by round, to more of
    the test samples, each as what the head of the round before took it for.

    In every round the same share of each class that was found is taken, or the easiest class would be all that is
    learnt (class-balanced self-training: Zou et al. 2018, arXiv 1810.07911). The stiffness is that of held-out training
    sessions.

    Args:
        train, test: features [N, F] and [M, F], each side standardised on its own, so that what a device or an hour
            does to all samples alike is gone (as statistics of batch normalisation: Li et al. 2016, arXiv 1603.04779).
        targets: [N] classes below `outputs`.
        sessions: of the training samples.

    Raises:
        RecipeError: the training samples are of one class only.
    """
    if len(np.unique(targets)) < 2:
        raise RecipeError("align: the training rows hold one class only; self-training needs at least two.")
    source, target, y = torch.from_numpy(train).float(), torch.from_numpy(test).float(), torch.from_numpy(targets)
    stiffness = pick_stiffness(source.numpy(), targets, outputs, sessions, seed)
    output = KernelHead.fitted(source, y, outputs, seed, *stiffness)(target)
    for turn in range(1, ROUNDS + 1):
        found = output.argmax(1)
        sure = _surest(output, found, SHARE * turn / ROUNDS)
        known, told = torch.cat([source, target[sure]]), torch.cat([y, found[sure]])
        output = KernelHead.fitted(known, told, outputs, seed, *stiffness)(target)
    return np.asarray(output.argmax(1).numpy())


def _surest(output: torch.Tensor, found: torch.Tensor, share: float) -> torch.Tensor:
    """Rows of the largest margins between the first and the second class: this share of each class that was found."""
    first, second = output.topk(2, dim=1).values.T
    chosen = []
    for value in found.unique():
        rows = (found == value).nonzero().squeeze(1)
        order = (first - second)[rows].argsort(descending=True)
        chosen.append(rows[order[: max(1, round(share * len(rows)))]])
    return torch.cat(chosen)
