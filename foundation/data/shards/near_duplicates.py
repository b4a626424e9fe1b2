"""Copies of a recording among samples: the same measurement scaled, cut elsewhere, or stored in another precision.

A sample is reduced to signs, as audio is recognised (Haitsma and Kalker, A highly robust audio fingerprinting system,
ISMIR 2002): log amplitudes, their difference from packet to packet, and of that the difference from one response entry
to the next. The first removes every static gain and response, the second every packet's own gain (automatic gain
control), and both are local, so that a window cut elsewhere keeps its signs. What remains is mostly noise and motion,
which no two recordings share. Samples that have 32 signs in common somewhere are laid over each other there. They are
copies where at most a fifth of the signs differ and the agreement is 14 standard deviations from that of two coins;
neighbouring signs that always agree count as one. A single snapshot has the difference along the response alone, which
the place shares: there 1 % may differ, and 8 standard deviations are enough.

Rates, by `benchmarks/near_duplicates.py`, among 2,000 simulated windows (128 packets, 2 links, 32 subcarriers, 15 to
30 dB).
False alarms: 0 of 2,000 windows of other rooms, 0 of 6,000 noise-free ones, 0 of 1,000 other windows of the same
recordings. Missed copies of 500: 0 scaled, with another gain for every packet, with another static response, as
amplitudes, in 8 bits, or cut to 64, 32 or 10 packets; 14 in 6 bits; 251 cut to 5 packets and all cut to 3 (a copy needs
some 250 signs); 0, 124, 277 and 456 with noise added at 40, 30, 25 and 20 dB; 108 noise-free (where nobody moves).
Real sets, half against half: no false alarm in 4,516 windows of polyu-csi-ips and 5,433 impulse responses of
uwb-cirs-2018 (many of one place), none across recordings in 404 windows of stability-csi-har, 156 of which lie over a
neighbour by half and are found although each was smoothed by itself. Scaled copies: 0 missed of 500, 500 and 405.
Not found: copies subset out in time, or with other links or subcarriers; samples of a few numbers (RSSI fingerprints),
for which equal values are all that can be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.signal import Signal

TOKEN_BITS = 32
MAX_COLUMNS = 128  # of a step; more tell nothing new
COMMON = 64  # a token that more places of an index share tells nothing
CANDIDATES = 16  # overlays that are looked at


@dataclass(frozen=True)
class Signs:
    """Signs of changes, -1, 0 (not measured, or no change) or 1, [steps, columns], packed.

    Steps follow time; those of a snapshot follow the response.
    """

    rising: NDArray[np.uint8]
    falling: NDArray[np.uint8]
    columns: int
    snapshot: bool

    @classmethod
    def of(cls, signal: Signal) -> Signs:
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.log(np.where(signal.mask, np.abs(signal.values), 0))
            if len(level) == 1:
                change = np.diff(level[0], axis=1).T
            else:
                change = np.diff(level, axis=0)
                if level.shape[2] > 1:
                    change = np.diff(change, axis=2)
                change = change.reshape(len(change), -1)
        change = np.where(np.isfinite(change), change, 0)
        columns = change.shape[1]
        if columns > MAX_COLUMNS:
            change = change[:, np.linspace(0, columns - 1, MAX_COLUMNS).astype(int)]
        rising, falling = np.packbits(change > 0, axis=1), np.packbits(change < 0, axis=1)
        return cls(rising, falling, change.shape[1], len(level) == 1)

    def unpacked(self) -> NDArray[np.int8]:
        rising, falling = (
            np.unpackbits(side, axis=1, count=self.columns).astype(np.int8) for side in (self.rising, self.falling)
        )
        return rising - falling

    def tokens(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Every `TOKEN_BITS` signs that belong together, as a number, and the step at which they begin."""
        signs = self.unpacked()
        width = -(-TOKEN_BITS // max(1, self.columns))
        if len(signs) < width or not self.columns:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        runs = np.lib.stride_tricks.sliding_window_view(signs, width, axis=0).reshape(len(signs) - width + 1, -1)
        bands = -(-runs.shape[1] // TOKEN_BITS)
        first = np.linspace(0, runs.shape[1] - TOKEN_BITS, bands).astype(int)
        chosen = runs[:, first[:, None] + np.arange(TOKEN_BITS)]  # [places, bands, bits]
        place, band = np.nonzero((chosen != 0).all(axis=2))
        bits = np.packbits(chosen[place, band] > 0, axis=1).view(">u4")[:, 0].astype(np.uint64)
        kind = (band + MAX_COLUMNS * self.columns).astype(np.uint64) << np.uint64(TOKEN_BITS)
        return bits | kind, place


@dataclass(frozen=True)
class NearDuplicate:
    """A sample of an index that is a copy.

    Attributes:
        row: its number in the index.
        shift: steps from the beginning of the sample in the index to that of the other.
        disagreement: share of the compared signs that differ.
    """

    row: int
    shift: int
    disagreement: float


class NearDuplicateIndex:
    """Samples among which copies are looked up."""

    def __init__(self, samples: Sequence[Signs]) -> None:
        self.samples = samples
        found = [sample.tokens() for sample in samples]
        rows = np.repeat(np.arange(len(samples)), [len(tokens) for tokens, _ in found])
        tokens = np.concatenate([np.empty(0, np.uint64), *(tokens for tokens, _ in found)])
        places = np.concatenate([np.empty(0, np.int64), *(places for _, places in found)])
        order = np.argsort(tokens, kind="stable")
        self._tokens, self._rows, self._places = tokens[order], rows[order], places[order]

    def find(self, sample: Signs) -> NearDuplicate | None:
        """The sample of the index that most surely is a copy; None if there is none."""
        surest, best = 0.0, None
        signs = sample.unpacked()
        for row, shift in self._candidates(sample):
            other = self.samples[row]
            if other.columns != sample.columns or other.snapshot != sample.snapshot:
                continue
            disagreement, sigmas = _compare(signs, other.unpacked(), shift)
            most, least = (0.01, 8) if sample.snapshot else (0.2, 14)
            if disagreement <= most and sigmas >= max(least, surest):
                surest, best = sigmas, NearDuplicate(row, shift, disagreement)
        return best

    def _candidates(self, sample: Signs) -> list[tuple[int, int]]:
        """(row, shift) at which most tokens are shared."""
        tokens, places = sample.tokens()
        first = np.searchsorted(self._tokens, tokens, "left")
        count = np.searchsorted(self._tokens, tokens, "right") - first
        count[count > COMMON] = 0
        at = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
        shift = self._places[at] - np.repeat(places, count)
        pairs, votes = np.unique(np.stack([self._rows[at], shift], axis=1), axis=0, return_counts=True)
        most = np.argsort(-votes, kind="stable")[:CANDIDATES]
        return [(int(row), int(steps)) for row, steps in pairs[most]]


def _compare(signs: NDArray[np.int8], other: NDArray[np.int8], shift: int) -> tuple[float, float]:
    """Step i of the first over step i + shift of the other: share of signs that differ, and standard deviations from
    a half of them, as many as there are independent ones."""
    one = signs[max(0, -shift) : max(0, len(other) - shift)]
    two = other[max(0, shift) : max(0, len(signs) + shift)]
    both = one * two
    compared = int(np.count_nonzero(both))
    if not compared:
        return 1.0, 0.0
    disagreement = int(np.count_nonzero(both < 0)) / compared
    turns = one[1:] * one[:-1]
    if turns.shape[1] > 1:
        turns = turns[:, 1:] * turns[:, :-1]
    # Half of the neighbouring signs differ where all are independent, few where the field is smooth.
    independent = min(1.0, 2 * int(np.count_nonzero(turns < 0)) / max(1, int(np.count_nonzero(turns))))
    return disagreement, (1 - 2 * disagreement) * float(np.sqrt(independent * compared))
