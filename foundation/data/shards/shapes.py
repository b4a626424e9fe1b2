"""Shapes of stored samples, from which their tokens are counted without reading them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from foundation.data.layout import TokenSpec, layout_of
from foundation.data.shards.tar_index import TarShard
from foundation.signal import stored_shape

Shape = tuple[int, int, int]
Run = tuple[int, int, int, int]
#: Stands for a sample whose header cannot be read.
UNKNOWN: Shape = (0, 0, 0)


def shape_runs(shapes: Iterable[Shape]) -> list[Run]:
    """[(count, times, links, responses), ...] of samples in stored order."""
    return [(sum(1 for _ in run), *shape) for shape, run in groupby(shapes)]


def shapes_in(tar: TarShard) -> list[Run]:
    """As `shape_runs`, from the headers of the arrays of a shard; `UNKNOWN` where one is damaged.

    Raises:
        DamagedShardError: the shard became unreadable.
    """
    return shape_runs(_shape(tar, index) for index in range(len(tar)))


def token_counts(runs: Sequence[Run], spec: TokenSpec) -> np.ndarray:
    """int64 [n]: tokens of every sample; 1 for one whose shape is not known, which `Corpus.read` then reports."""
    counts = [count for count, *_ in runs]
    tokens = [layout_of((t, links, r), spec).tokens if t else 1 for _, t, links, r in runs]
    return np.repeat(np.array(tokens, np.int64), counts)


def _shape(tar: TarShard, index: int) -> Shape:
    try:
        return stored_shape({"signal.npy": tar.head(index, "signal.npy")})
    except (ValueError, KeyError):
        return UNKNOWN
