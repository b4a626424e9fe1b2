"""Selection of the pooling by cross-validation on training sessions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from foundation.adapt.probe import probe_error
from foundation.data.layout import layout_of
from foundation.data.origins import Origin
from foundation.errors import RecipeError
from foundation.models import ClosedForm, WfmModel
from foundation.models.closed_pooling import CLOSED_POOLINGS
from foundation.models.config import WfmConfig
from foundation.models.pooling import LEARNED_POOLINGS

POOLINGS = (*LEARNED_POOLINGS, *CLOSED_POOLINGS)
PLACED = ("columns", "response", "invariant")  # keep the place of every column: signals must share links and responses
MOVING = ("timeline", "doppler", "envelope")  # are of the dynamics
#: In closed form, of signals of the same shapes.
COUNTERPARTS = {
    "moments": ("statistics",),
    "context": ("statistics",),
    "columns": ("response", "invariant"),
    "timeline": ("envelope",),
    "facts": ("statistics",),
}
SHORTEST = 4  # times of a signal with dynamics
LARGEST_BYTES = 3 * 2**29  # of the features of one pooling


def possible_poolings(shapes: Iterable[tuple[int, ...]], spec: WfmConfig) -> tuple[str, ...]:
    """The poolings that signals of all these shapes (times, links, responses) have, with features of one length."""
    known = list(shapes)
    without = () if len({(cut.links, cut.nr) for cut in (layout_of(shape, spec) for shape in known)}) == 1 else PLACED
    if min(times for times, *_ in known) < SHORTEST:
        without = (*without, *MOVING)
    if not spec.facts:
        without = (*without, "facts")
    return tuple(name for name in POOLINGS if name not in without)


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
        if left_out := [name for name in PLACED if name not in possible]:
            warnings.warn(f"tune.pooling: {', '.join(left_out)} {why}; they are left out", stacklevel=2)
        return _that_fit(possible, every, spec)
    if pooling in possible:
        return (pooling,)
    if pooling in MOVING:
        why = f"need windows of {SHORTEST} times at least, and one has {min(times for times, *_ in known)}"
    raise RecipeError(
        f"tune.pooling: {pooling!r} would {why}; use {' or '.join(possible)}, or build shards with long windows of one "
        "shape."
    )


def readable_poolings(requested: Sequence[str], encoder: WfmModel | ClosedForm) -> tuple[str, ...]:
    """The requested poolings; without an encoder, in the place of each learned one its counterpart in closed form."""
    if not isinstance(encoder, ClosedForm):
        return tuple(requested)
    return tuple(dict.fromkeys(each for name in requested for each in COUNTERPARTS.get(name, (name,))))


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
    origin: Sequence[Origin],
    seed: int,
) -> tuple[str, str]:
    """The pooling with the lowest cross-validated error, and a note: its name, or why there was no choice.

    Errors of classes that differ by less than one sample count as equal; among equals the shortest features win: with a
    single training day several poolings are always right, and the smallest generalises best to the next month.

    Args:
        possible: candidates, see `possible_poolings`.
        features: pooling -> `training_features` of the labelled samples, [n, F] or [K, n, F].
        targets, outputs, origin: of these samples, see `foundation.adapt.fit_head`.
    """
    known = {}
    for name in possible:
        error = probe_error(features(name), targets, outputs, origin, seed)
        if error is not None:
            known[name] = error
    if not known:
        return possible[0], f"{possible[0]}, too few labels to choose by"
    one = 1 / len(targets) if targets.ndim == 1 else 0.0
    equal = [name for name in known if known[name] <= min(known.values()) + one]
    chosen = min(equal, key=lambda name: features(name).shape[-1])
    return chosen, chosen
