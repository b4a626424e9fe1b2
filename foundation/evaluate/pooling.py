"""Which pooling to take, decided on training recordings alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from sklearn.model_selection import GroupKFold

from foundation.data.tokens import TokenSpec, layout_of
from foundation.errors import RecipeError
from foundation.evaluate.floors import floor
from foundation.evaluate.metrics import each_score
from foundation.signal import Signal

FOLDS = 5
#: In the order in which they are preferred where they do equally well.
POOLINGS = ("moments", "columns")


def possible_poolings(signals: Sequence[Signal], spec: TokenSpec) -> tuple[str, ...]:
    """Those that give features of one length for all of these."""
    cuts = [layout_of(signal.values.shape, spec) for signal in signals]
    return POOLINGS if len({(cut.links, cut.nr) for cut in cuts}) == 1 else POOLINGS[:1]


def pick_pooling(
    possible: Sequence[str],
    features: Callable[[str], np.ndarray],
    targets: np.ndarray,
    rows: np.ndarray,
    sessions: Sequence[str],
    kind: str,
) -> tuple[str, str]:
    """The pooling to take for `tune.pooling: auto`, and what to note of it: the same, or why there was no choice.

    Args:
        possible: `possible_poolings`.
        features: of a pooling, [len(rows), F].
        targets, sessions: of all training samples; `rows` are those whose labels may be used.

    Raises:
        RecipeError: all training samples are of one session.
    """
    if len(set(sessions)) < 2:
        raise RecipeError(
            f"tune.pooling: auto compares training sessions, and there is one, {sessions[0]!r}; name a pooling: "
            f"{' or '.join(POOLINGS)}."
        )
    if len(possible) == 1:
        return possible[0], f"{possible[0]}, the only one for windows of several shapes"
    chosen = choose_pooling(
        {name: features(name) for name in possible}, targets[rows], [sessions[i] for i in rows], kind
    )
    return (chosen, chosen) if chosen else (possible[0], f"{possible[0]}, too few labels to choose by")


def choose_pooling(
    features: Mapping[str, np.ndarray], targets: np.ndarray, sessions: Sequence[str], kind: str
) -> str | None:
    """The pooling whose linear probe predicts held-out training sessions best (grouped cross-validation, `FOLDS`-fold).

    Args:
        features: pooling -> [n, F], of the labelled training samples.
        targets: [n] classes or [n, d] numbers.
        sessions: of every sample.

    Returns:
        None where these labels cannot tell: they lie in one session, or each fold leaves one class to learn from.
    """
    groups = np.unique(list(sessions), return_inverse=True)[1]
    count = len(np.unique(groups))
    if count < 2:
        return None
    folds = [
        (train, test)
        for train, test in GroupKFold(min(FOLDS, count)).split(targets, groups=groups)
        if kind == "regression" or len(np.unique(targets[train])) > 1
    ]
    if not folds:
        return None
    method = "ridge" if kind == "regression" else "logistic"
    found = {}
    for name, x in features.items():
        scores = [
            each_score(targets[test], floor(x[train], targets[train], x[test], kind, method)) for train, test in folds
        ]
        found[name] = float(np.concatenate(scores).mean()) * (-1 if kind == "regression" else 1)
    return max(found, key=lambda name: found[name])
