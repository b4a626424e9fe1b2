"""Which pooling to take, decided on training recordings alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from foundation.adapt.probe import probe_error
from foundation.data.tokens import TokenSpec, layout_of
from foundation.errors import RecipeError

POOLINGS = ("moments", "context", "columns", "response", "invariant")


def possible_poolings(shapes: Iterable[tuple[int, ...]], spec: TokenSpec) -> tuple[str, ...]:
    """Those that give features of one length for signals of all these shapes (times, links, responses)."""
    cuts = [layout_of(shape, spec) for shape in shapes]
    return POOLINGS if len({(cut.links, cut.nr) for cut in cuts}) == 1 else POOLINGS[:2]


def asked_poolings(pooling: str, shapes: Iterable[tuple[int, ...]], spec: TokenSpec) -> tuple[str, ...]:
    """What `tune.pooling` asks for: `auto` for all that are possible, to choose from; else the one it names.

    Raises:
        RecipeError: that one is not possible. Of `auto`, a warning says which are not.
    """
    possible = possible_poolings(known := set(shapes), spec)
    kept = {
        (cut.links, cut.nr): " x ".join(map(str, shape)) for shape in sorted(known) for cut in [layout_of(shape, spec)]
    }
    why = (
        "need windows that are cut into patches alike, and these (times x links x responses) are not: "
        f"{', '.join(list(kept.values())[:4])}"
    )
    if pooling == "auto":
        if left_out := [name for name in POOLINGS if name not in possible]:
            warnings.warn(f"tune.pooling: {', '.join(left_out)} {why}; heads do without", stacklevel=2)
        return possible
    if pooling not in possible:
        raise RecipeError(
            f"tune.pooling: {pooling!r} would {why}; take {' or '.join(possible)}, or bring them to one shape when "
            "shards are built."
        )
    return (pooling,)


def pick_pooling(
    possible: Sequence[str],
    features: Callable[[str], np.ndarray],
    targets: np.ndarray,
    outputs: int,
    sessions: Sequence[str],
    seed: int,
) -> tuple[str, str]:
    """The pooling whose probe predicts held-out training sessions best, and what to note of it: the same, or why there
    was no choice. Of classes, less than one sample of difference is none; of equals, the one of fewest numbers.

    Where a single day is all there is, every pooling that tells columns apart is right on all of it, and the one with
    the least to say holds best in the next month.

    Args:
        possible: `possible_poolings`.
        features: of a pooling, of the labelled training samples, see `training_features`: where fits are to hold on
            other devices, that counts in the choice.
        targets, outputs, sessions: of these samples, see `foundation.adapt.fit_head`.
    """
    known = {}
    for name in possible:
        error = probe_error(features(name), targets, outputs, sessions, seed)
        if error is not None:
            known[name] = error
    if not known:
        return possible[0], f"{possible[0]}, too few labels to choose by"
    one = 1 / len(targets) if targets.ndim == 1 else 0.0
    equal = [name for name in known if known[name] <= min(known.values()) + one]
    chosen = min(equal, key=lambda name: features(name).shape[-1])
    return chosen, chosen
