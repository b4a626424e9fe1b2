"""Cross-validation folds over training samples that leave out what a test part will hold new: a room, a person, a
device, or else a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import GroupKFold

from foundation.data.origins import Origin

FOLDS = 4
MAX_SAMPLES = 1000  # in cross-validation; more are subsampled
#: From coarse to fine, with the word for one of each. Domains of a finer kind lie within those of a coarser one.
DOMAINS = {"environment": "room", "subject": "person", "device": "device", "session": "session"}
WITHIN = "stretch of every session"  # where no domain can be
FEWEST = 3  # domains that folds can be made of


class Folds(NamedTuple):
    """Rows for training and for testing, none where labels are too few; and what is left out, in words."""

    rows: list[tuple[np.ndarray, np.ndarray]]
    held_out: str


def held_out_folds(targets: np.ndarray, origin: Sequence[Origin], seed: int) -> Folds:
    """Folds over the coarsest domain of which the samples have three at least that share classes: rooms, else people,
    else devices, else sessions. What a head may trust in a new room shows only in a room that was left out; sessions
    left out of rooms that stay are no harder than the training samples.

    Without such a domain the groups are contiguous blocks of every session and class. Two sessions are not enough,
    because each may say nothing about the other although both together predict a third: between the two training days
    of PolyU C, features that reach 78 % in a later month reach 12 %.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(targets))[:MAX_SAMPLES])
    classes = targets[rows] if targets.ndim == 1 else np.zeros(len(rows), np.int64)
    for name, word in DOMAINS.items():
        group = np.unique([getattr(each, name) for each in origin], return_inverse=True)[1][rows]
        if found := _folds(group, FEWEST, rows, classes, targets.ndim > 1):
            return Folds(found, word)
    session = np.unique([each.session for each in origin], return_inverse=True)[1][rows]
    block = np.zeros(len(rows), np.int64)
    for one, each in np.unique(np.stack([session, classes]), axis=1).T:
        own = np.flatnonzero((session == one) & (classes == each))
        block[own] = np.arange(len(own)) * FOLDS // len(own)
    return Folds(_folds(block, 2, rows, classes, targets.ndim > 1), WITHIN)


def _folds(
    group: np.ndarray, fewest: int, rows: np.ndarray, classes: np.ndarray, numbers: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds of these groups, without those that test mostly classes that they do not train."""
    count = min(FOLDS, len(np.unique(group)))
    if count < fewest:
        return []
    folds = []
    for train, test in GroupKFold(count).split(rows, groups=group):
        shared = test[np.isin(classes[test], classes[train])]
        if 2 * len(shared) >= len(test) and (numbers or len(np.unique(classes[train])) > 1):
            folds.append((rows[train], rows[shared]))
    return folds
