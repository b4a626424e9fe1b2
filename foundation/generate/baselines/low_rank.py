"""Low-rank matrix completion of a single signal: the stronger baseline of imputation.

Iterated truncated singular value decomposition of the imputed matrix (Troyanskaya et al. 2001, Bioinformatics 17,
"SVDimpute"; Mazumder, Hastie and Tibshirani 2010, JMLR 11, hard thresholding), each step by one alternation of least
squares (Hastie, Mazumder, Lee and Zadeh 2015, JMLR 16). A field of three axes is unfolded along one of them.

A row or a column that is hidden as a whole is not determined by completion: any value fits. The iteration therefore
starts from linear interpolation or from the mean over time, and such rows keep the start, projected on the span of the
visible ones. Start, rank and unfolding axis are chosen by cross-validation: some visible entries are held out, in
blocks of the mask's geometry. Full rank is one of the candidates, and is the start itself. Hidden entries are never
read.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from foundation.generate.baselines.hold import mean_over_time
from foundation.generate.baselines.interpolate import interpolate

STARTS = (interpolate, mean_over_time)

RANKS = (1, 2, 3, 5, 8)
STEPS = 10
#: Share of the visible entries that is held out, and number of folds: of 0.25 and 0.4, one to three folds, the best on
#: simulated windows. On measured ones there was no difference.
HELD_OUT, DRAWS = 0.4, 2
CELL = 4  # times and responses of a block of entries that are held out together
ABSENT = 0.2  # least share of an axis without a visible entry for the mask to count as a block along this axis
TOLERANCE = 1.05  # the search over ranks ends once the error exceeds the lowest one so far by this factor


class Choice(NamedTuple):
    """Index into `STARTS`, axis to unfold along, and rank; None: full rank."""

    start: int
    axis: int
    rank: int | None


def low_rank(field: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Impute the entries of field [T, L, R] that are not visible; visible ones are unchanged.

    A field with a single axis longer than 1 is no matrix, so that only the start is chosen; with too few visible
    entries for a choice the result is linear interpolation.

    Raises:
        ValueError: nothing is visible.
    """
    draws = [_errors(field, visible & ~held, held) for held in (_held_out(visible, draw) for draw in range(DRAWS))]
    both = [choice for choice in draws[0] if all(choice in errors for errors in draws)]
    chosen = min(both, key=lambda choice: sum(errors[choice] for errors in draws), default=Choice(0, 0, None))
    return _complete(STARTS[chosen.start](field, visible), visible, chosen.axis, chosen.rank)


def _errors(field: np.ndarray, known: np.ndarray, held: np.ndarray) -> dict[Choice, float]:
    """Squared error of each choice on the held-out entries, from the known ones."""
    found: dict[Choice, float] = {}
    if not held.any() or not known.any():
        return found
    for index, begin in enumerate(STARTS):
        start = begin(field, known)
        found[Choice(index, 0, None)] = _error(start, field, held)
        for axis, size in enumerate(field.shape):
            least = np.inf
            for rank in RANKS:
                if rank >= min(size, field.size // size):
                    break
                error = _error(_complete(start, known, axis, rank), field, held)
                found[Choice(index, axis, rank)] = error
                if error > TOLERANCE * least:
                    break
                least = min(least, error)
    return found


def _complete(start: np.ndarray, visible: np.ndarray, axis: int, rank: int | None) -> np.ndarray:
    """Complete `start` at this rank: alternate between a low-rank approximation and the visible entries."""
    if rank is None:
        return start
    moved = np.moveaxis(start, axis, 0)
    matrix, seen = moved.reshape(len(moved), -1), np.moveaxis(visible, axis, 0).reshape(len(moved), -1)
    if is_tall := len(matrix) > matrix.shape[1]:
        matrix, seen = matrix.T, seen.T
    matrix = matrix if np.any(matrix.imag) else matrix.real
    imputed = matrix
    left = np.linalg.eigh(matrix @ matrix.conj().T)[1][:, -rank:]
    for _ in range(STEPS):
        right = left.conj().T @ imputed
        imputed = np.where(seen, matrix, left @ right)
        left = np.linalg.qr(imputed @ right.conj().T)[0]
    return np.moveaxis((imputed.T if is_tall else imputed).reshape(moved.shape), 0, axis).astype(start.dtype)


def _held_out(visible: np.ndarray, draw: int) -> np.ndarray:
    """bool [T, L, R]: visible entries to hold out, with the geometry of the mask: a whole link, a block of times or of
    responses where the mask hides such, else blocks of `CELL` times and responses of a link."""
    shape, rng = visible.shape, np.random.default_rng(draw)
    for axis in (1, 0, 2):
        indices = np.flatnonzero(visible.any(axis=tuple({0, 1, 2} - {axis})))
        if len(indices) > 1 and 1 - len(indices) / shape[axis] >= ABSENT:
            count = 1 if axis == 1 else max(1, round(HELD_OUT * len(indices)))
            first = int((draw + rng.random()) / DRAWS * (len(indices) - count + 1))  # each draw in a part of its own
            held = np.isin(np.arange(shape[axis]), indices[first : first + count])
            return visible & np.expand_dims(held, tuple({0, 1, 2} - {axis}))
    cells = rng.random((-(-shape[0] // CELL), shape[1], -(-shape[2] // CELL))) < HELD_OUT
    return visible & cells.repeat(CELL, 0)[: shape[0]].repeat(CELL, 2)[:, :, : shape[2]]


def _error(found: np.ndarray, field: np.ndarray, where: np.ndarray) -> float:
    return float(np.sum(np.abs(found[where] - field[where]) ** 2))
