"""Which part of a wide channel a frame occupies, and the rotation that a transmitter of that width applies.

A receiver tuned to 40 or 80 MHz also captures the frames of 20 and 40 MHz inside its channel; elsewhere it holds noise.
The file gives the width of the receiver alone, so the width of each frame is measured. Noise is weak, and neighbouring
subcarriers are unrelated there; a faded part of a frame is weak too, but neighbours agree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Subcarriers of 20 MHz; number of subcarriers that carry energy -> parts of 20 MHz.
_PART, _PARTS = 64, {56: 1, 114: 2, 242: 4}
#: A half is empty where it has less than this fraction of the power of the other and less than this coherence of
#: neighbours, for strong and for weak frames. In captures of four chips empty parts have below 0.12 and 0.75, those of
#: full frames above 0.6 and 0.99.
_EMPTY = ((1 / 6, 0.8), (1 / 2, 0.5))
#: A half whose neighbours agree less is not a frame beside which the other could be empty.
_COHERENT = 0.6
#: Frames processed at a time, which bounds the memory.
_BLOCK = 256


class Width(NamedTuple):
    """The part of the channel that a frame occupies: its first 20 MHz, counted from below, and how many."""

    start: int
    parts: int


def frames_by_width(values: NDArray[np.complex64], indices: NDArray[np.int64]) -> dict[Width, NDArray[np.int64]]:
    """The frames of each width: the whole channel, one of its halves or one of its quarters.

    Args:
        values: [frames, links, subcarriers], 0 where a link was not received.
        indices: [subcarriers], from the centre of the channel.
    """
    sums = np.concatenate([np.zeros((3, len(values), 1)), np.cumsum(_sums(values, indices), axis=2)], axis=2)
    rows, parts = np.arange(len(values)), _PARTS[len(indices)]
    start, count = np.zeros(len(values), int), np.full(len(values), parts)
    half = parts // 2
    while half:
        first = np.minimum(start, parts - 2 * half)
        middle = sums[:, rows, first + half]
        lower, upper = middle - sums[:, rows, first], sums[:, rows, first + 2 * half] - middle
        is_upper = upper[0] > lower[0]
        weak, strong = np.where(is_upper, lower, upper), np.where(is_upper, upper, lower)
        is_empty = (count == 2 * half) & (strong[1] > _COHERENT * strong[2])
        is_empty &= np.any([(weak[0] < p * strong[0]) & (weak[1] < c * weak[2]) for p, c in _EMPTY], axis=0)
        start += half * (is_empty & is_upper)
        count[is_empty] = half
        half //= 2
    kinds = zip(start.tolist(), count.tolist(), strict=True)
    return {Width(*kind): np.flatnonzero((start == kind[0]) & (count == kind[1])) for kind in set(kinds)}


def _sums(values: NDArray[np.complex64], indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """[3, frames, parts]: power, products of neighbours added as vectors, and their lengths."""
    part = _part_of(indices)
    sums = np.zeros((3, len(values), _PARTS[len(indices)]))
    for at in range(0, len(values), _BLOCK):
        for each in range(sums.shape[2]):
            field = values[at : at + _BLOCK, :, part == each]
            product = field[..., 1:] * field[..., :-1].conj()
            sums[0, at : at + _BLOCK, each] = np.square(np.abs(field)).sum(axis=(1, 2))
            sums[1, at : at + _BLOCK, each] = np.abs(product.sum(axis=2)).sum(axis=1)
            sums[2, at : at + _BLOCK, each] = np.abs(product).sum(axis=(1, 2))
    return sums


def occupied(indices: NDArray[np.int64], width: Width) -> NDArray[np.bool_]:
    """bool [subcarriers]: inside the part of the channel that a frame occupies."""
    part = _part_of(indices) - width.start
    return np.asarray((part >= 0) & (part < width.parts))


def derotation(indices: NDArray[np.int64], width: Width, quarter_turn: complex) -> NDArray[np.complex64]:
    """Factors [subcarriers] that undo the rotation of the parts of a frame (IEEE 802.11-2016, 21.3.7.5).

    A transmitter rotates the upper half of 40 MHz by 90 degrees, the upper three quarters of 80 MHz by 180.

    Args:
        quarter_turn: the factor that undoes the rotation by 90 degrees, 1j or -1j.
    """
    factor = {1: 1, 2: quarter_turn, 4: -1}[width.parts]
    return np.where(_part_of(indices) > width.start, factor, 1).astype(np.complex64)


def _part_of(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """The 20 MHz of each subcarrier, counted from below."""
    return (indices + _PARTS[len(indices)] * _PART // 2) // _PART
