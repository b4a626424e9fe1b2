"""Selection of the pooling by cross-validation on training sessions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from foundation.adapt.probe import probe_error
from foundation.data.layout import layout_of
from foundation.errors import RecipeError
from foundation.models import ClosedForm, WfmModel
from foundation.models.config import WfmConfig

POOLINGS = ("moments", "context", "columns", "response", "invariant")
STATISTICAL = ("response", "invariant")  # what the statistics head says
LARGEST_BYTES = 3 * 2**29  # of the features of one pooling


def possible_poolings(shapes: Iterable[tuple[int, ...]], spec: WfmConfig) -> tuple[str, ...]:
    """The poolings whose feature length is the same for signals of all these shapes (times, links, responses)."""
    cuts = [layout_of(shape, spec) for shape in shapes]
    return POOLINGS if len({(cut.links, cut.nr) for cut in cuts}) == 1 else POOLINGS[:2]


def requested_poolings(pooling: str, shapes: Iterable[tuple[int, ...]], spec: WfmConfig) -> tuple[str, ...]:
    """The candidates of `tune.pooling`: for `auto` all poolings that are possible and fit into memory, with a warning
    for the others; else the named one.

    Args:
        shapes: of every sample.

    Raises:
        RecipeError: the named pooling is not possible for these shapes.
    """
    every = list(shapes)
    possible = possible_poolings(known := set(every), spec)
    kept = {
        (cut.links, cut.nr): " x ".join(map(str, shape)) for shape in sorted(known) for cut in [layout_of(shape, spec)]
    }
    why = (
        "need windows with the same patch grid, and these (times x links x responses) have different ones: "
        f"{', '.join(list(kept.values())[:4])}"
    )
    if pooling == "auto":
        if left_out := [name for name in POOLINGS if name not in possible]:
            warnings.warn(f"tune.pooling: {', '.join(left_out)} {why}; they are left out", stacklevel=2)
        return _that_fit(possible, every, spec)
    if pooling not in possible:
        raise RecipeError(
            f"tune.pooling: {pooling!r} would {why}; use {' or '.join(possible)}, or build shards with windows of one "
            "shape."
        )
    return (pooling,)


def readable_poolings(requested: Sequence[str], encoder: WfmModel | ClosedForm) -> tuple[str, ...]:
    """The requested poolings without those that would mislead a stack.

    These are the poolings of a statistics head that pretraining did not train, with a warning; and in closed form
    `columns`, which are `response` and `invariant` joined: a stack that is offered all statistics at once is as bad
    under drift as they are (docs/research/architecture.md).

    Raises:
        RecipeError: none is left.
    """
    if isinstance(encoder, ClosedForm):
        return tuple(name for name in requested if name != "columns") or tuple(requested)
    if encoder.statistics_head.is_trained:
        return tuple(requested)
    kept = tuple(name for name in requested if name not in STATISTICAL)
    left_out = [name for name in requested if name in STATISTICAL]
    why = f"{' and '.join(left_out)} read a statistics head that this checkpoint did not train (statistics_weight: 0)"
    if not kept:
        raise RecipeError(f"tune.pooling: {why}; use auto.")
    if left_out:
        warnings.warn(f"tune.pooling: {why}; they are left out", stacklevel=2)
    return kept


def _that_fit(possible: tuple[str, ...], shapes: Sequence[tuple[int, ...]], spec: WfmConfig) -> tuple[str, ...]:
    """Those whose features of all samples take `LARGEST_BYTES` at most, with a warning for the others."""
    cut = layout_of(shapes[0], spec)
    columns, slots = cut.links * cut.nr, 2 * max(responses for _, responses in spec.patch_shapes)
    # See `foundation.models.pooling.pool`; the other poolings are short.
    lengths = {"columns": columns * spec.hidden_size, "response": columns * slots, "invariant": 4 * columns * slots}
    size = {name: 4 * len(shapes) * lengths.get(name, 0) for name in possible}
    if large := [name for name in possible if size[name] > LARGEST_BYTES]:
        warnings.warn(
            f"tune.pooling: features {' and '.join(f'{name} ({size[name] / 1e9:.1f} GB)' for name in large)} of "
            f"{len(shapes):,} samples of {' x '.join(map(str, shapes[0]))} (times x links x responses) take too much "
            "memory and are left out; build shards with fewer samples or links, or name one as tune.pooling to have it "
            "all the same.",
            stacklevel=3,
        )
    return tuple(name for name in possible if name not in large)


def pick_pooling(
    possible: Sequence[str],
    features: Callable[[str], np.ndarray],
    targets: np.ndarray,
    outputs: int,
    sessions: Sequence[str],
    seed: int,
) -> tuple[str, str]:
    """The pooling with the lowest cross-validated error, and a note: its name, or why there was no choice.

    Errors of classes that differ by less than one sample count as equal; among equals the shortest features win: with a
    single training day several poolings are always right, and the smallest generalises best to the next month.

    Args:
        possible: candidates, see `possible_poolings`.
        features: pooling -> `training_features` of the labelled samples, [n, F] or [K, n, F].
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
