"""The patch grid of a signal: what follows from its shape alone, so that signals of one shape share it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Protocol

import numpy as np


class TokenSpec(Protocol):
    """The configuration of a model that tokenisation needs; `WfmConfig` has it."""

    patch_shapes: list[list[int]]
    views: dict[str, str]
    links: int
    positions: str


class PlainSpec:
    """A `TokenSpec` and nothing else: looking up a key of a configuration of transformers takes microseconds."""

    def __init__(self, spec: TokenSpec) -> None:
        self.patch_shapes, self.views, self.links, self.positions = (
            *(spec.patch_shapes, spec.views),
            *(spec.links, spec.positions),
        )


@dataclass(frozen=True)
class Layout:
    """Patch grid of one signal: patch shape (pt, pr), counts (nt, links, nr), and whether it has static tokens."""

    shape_index: int
    pt: int
    pr: int
    nt: int
    links: int
    nr: int
    static: bool

    @property
    def tokens(self) -> int:
        """Number of patches, plus a static token for every column."""
        return (self.nt + self.static) * self.links * self.nr


def layout_of(shape: tuple[int, ...], spec: TokenSpec) -> Layout:
    """Patch grid of a shape (times, links, responses): the first patch shape not longer in time, else the last."""
    times, links, responses = shape
    index = next((i for i, (pt, _) in enumerate(spec.patch_shapes) if pt <= times), len(spec.patch_shapes) - 1)
    pt, pr = spec.patch_shapes[index]
    return Layout(index, pt, pr, -(-times // pt), links, -(-responses // pr), times > 1)


class Place(IntEnum):
    """What is known of a token from the shape of its signal; columns of `places_of`."""

    TIME = 0
    LINK = 1
    RESPONSE = 2
    COLUMN = 3
    SHAPE = 4
    STATIC = 5
    START = 6
    TIMES = 7
    RESPONSES = 8


@lru_cache(maxsize=256)
def places_of(shape: tuple[int, int, int], cut: Layout) -> np.ndarray:
    """int32 [N, 9], read-only: of every token of a signal its place in the grid, its column, patch shape and whether it
    is static; then `start`, `times` and `responses` of `foundation.nn.patches.Fields`."""
    times, links, responses = shape
    patches, columns = cut.nt * links * cut.nr, links * cut.nr
    time, link, response = (each.reshape(-1) for each in np.indices((cut.nt + cut.static, links, cut.nr)))
    static = time == cut.nt
    out = np.empty((patches + cut.static * columns, len(Place)), np.int32)
    out[:, Place.TIME], out[:, Place.LINK], out[:, Place.RESPONSE] = np.where(static, 0, time), link, response
    out[:, Place.COLUMN], out[:, Place.SHAPE], out[:, Place.STATIC] = link * cut.nr + response, cut.shape_index, static
    first = np.where(static, times, time * cut.pt)
    out[:, Place.START] = (first * links + link) * responses + response * cut.pr
    out[:, Place.TIMES] = np.where(static, min(cut.pt, 2), np.minimum(cut.pt, times - time * cut.pt))
    out[:, Place.RESPONSES] = np.minimum(cut.pr, responses - response * cut.pr)
    out.flags.writeable = False
    return out
