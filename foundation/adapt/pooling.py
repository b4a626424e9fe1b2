"""Which pooling to take, decided on training recordings alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from foundation.adapt.probe import probe_error
from foundation.data.tokens import TokenSpec, layout_of

#: In the order in which they are preferred where they do equally well.
POOLINGS = ("moments", "context", "columns", "response", "statistics")


def possible_poolings(shapes: Iterable[tuple[int, ...]], spec: TokenSpec) -> tuple[str, ...]:
    """Those that give features of one length for signals of all these shapes (times, links, responses)."""
    cuts = [layout_of(shape, spec) for shape in shapes]
    return POOLINGS if len({(cut.links, cut.nr) for cut in cuts}) == 1 else POOLINGS[:2]


def pick_pooling(
    possible: Sequence[str],
    features: Callable[[str], np.ndarray],
    targets: np.ndarray,
    outputs: int,
    sessions: Sequence[str],
    seed: int,
) -> tuple[str, str]:
    """The pooling whose probe predicts held-out training sessions best, and what to note of it: the same, or why there
    was no choice.

    Args:
        possible: `possible_poolings`.
        features: of a pooling, of the labelled training samples, see `training_features`: where fits are to hold on
            other devices, that counts in the choice.
        targets, outputs, sessions: of these samples, see `foundation.adapt.fit_head`.
    """
    errors = {name: probe_error(features(name), targets, outputs, sessions, seed) for name in possible}
    known = {name: error for name, error in errors.items() if error is not None}
    if not known:
        return possible[0], f"{possible[0]}, too few labels to choose by"
    chosen = min(known, key=lambda name: known[name])
    return chosen, chosen
