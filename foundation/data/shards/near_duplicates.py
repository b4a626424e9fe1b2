"""Near duplicates: the same measurement scaled, cut elsewhere, or stored in another precision.

A sample is reduced to a binary fingerprint, as in audio identification (Haitsma and Kalker, A highly robust audio
fingerprinting system, ISMIR 2002): log amplitudes, their difference from packet to packet, and of that the difference
from one response entry to the next. The first removes every static gain and response, the second every packet's own
gain (automatic gain control), and both are local, so that a window cut elsewhere keeps its signs. What remains is
mostly noise and motion, which no two recordings share. Samples with 32 signs in common are aligned there. They are near
duplicates if at most a fifth of the signs differ and the agreement is 14 standard deviations above chance (independent
signs); neighbouring signs that always agree count as one. A single snapshot has the difference along the response
alone, which is common to measurements of one position: there 1 % may differ, and 8 standard deviations are enough.

Rates, by `benchmarks/near_duplicates.py`, among 2,000 simulated windows (128 packets, 2 links, 32 subcarriers, 15 to
30 dB).
False alarms: 0 of 2,000 windows of other rooms, 0 of 6,000 noise-free ones, 0 of 1,000 other windows of the same
recordings. Missed copies of 500: 0 scaled, with another gain for every packet, with another static response, as
amplitudes, in 8 bits, or cut to 64, 32 or 10 packets; 14 in 6 bits; 251 cut to 5 packets and all cut to 3 (a copy needs
some 250 signs); 0, 124, 277 and 456 with noise added at 40, 30, 25 and 20 dB; 108 noise-free (where nobody moves). Real
sets, half against half: no false alarm in 4,516 windows of polyu-csi-ips and 5,433 impulse responses of uwb-cirs-2018
(many of one position), none across recordings in 404 windows of stability-csi-har, 156 of which lie over a neighbour by
half and are found although each was smoothed by itself. Scaled copies: 0 missed of 500, 500 and 405. Not found: copies
subsampled in time, or with other links or subcarriers; samples of a few numbers (RSSI fingerprints), of which only
equal values can be detected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.signal import Signal

TOKEN_BITS = 32
MAX_COLUMNS = 128  # per step; more add no information
COMMON = 64  # tokens with more occurrences in an index are not distinctive
CANDIDATES = 16  # alignments that are compared


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
        """Groups of `TOKEN_BITS` neighbouring signs as numbers uint64 [n], and the step int64 [n] where each begins."""
        signs = self.unpacked()
        width = -(-TOKEN_BITS // max(1, self.columns))
        if len(signs) < width or not self.columns:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        runs = np.lib.stride_tricks.sliding_window_view(signs, width, axis=0).reshape(len(signs) - width + 1, -1)
        bands = -(-runs.shape[1] // TOKEN_BITS)
        first = np.linspace(0, runs.shape[1] - TOKEN_BITS, bands).astype(int)
        chosen = runs[:, first[:, None] + np.arange(TOKEN_BITS)]  # [steps, bands, bits]
        step, band = np.nonzero((chosen != 0).all(axis=2))
        bits = np.packbits(chosen[step, band] > 0, axis=1).view(">u4")[:, 0].astype(np.uint64)
        kind = (band + MAX_COLUMNS * self.columns).astype(np.uint64) << np.uint64(TOKEN_BITS)
        return bits | kind, step


@dataclass(frozen=True)
class NearDuplicate:
    """A sample of an index that is a near duplicate.

    Attributes:
        row: its number in the index.
        shift: steps from the beginning of the sample in the index to that of the other.
        disagreement: share of the compared signs that differ.
    """

    row: int
    shift: int
    disagreement: float


class NearDuplicateIndex:
    """Samples among which near duplicates are looked up."""

    def __init__(self, samples: Sequence[Signs]) -> None:
        self.samples = samples
        found = [sample.tokens() for sample in samples]
        rows = np.repeat(np.arange(len(samples)), [len(tokens) for tokens, _ in found])
        tokens = np.concatenate([np.empty(0, np.uint64), *(tokens for tokens, _ in found)])
        steps = np.concatenate([np.empty(0, np.int64), *(steps for _, steps in found)])
        order = np.argsort(tokens, kind="stable")
        self._tokens, self._rows, self._steps = tokens[order], rows[order], steps[order]

    def find(self, sample: Signs) -> NearDuplicate | None:
        """The most significant near duplicate in the index; None if there is none."""
        most_sigmas, best = 0.0, None
        signs = sample.unpacked()
        for row, shift in self._candidates(sample):
            other = self.samples[row]
            if other.columns != sample.columns or other.snapshot != sample.snapshot:
                continue
            disagreement, sigmas = _compare(signs, other.unpacked(), shift)
            most, least = (0.01, 8) if sample.snapshot else (0.2, 14)
            if disagreement <= most and sigmas >= max(least, most_sigmas):
                most_sigmas, best = sigmas, NearDuplicate(row, shift, disagreement)
        return best

    def _candidates(self, sample: Signs) -> list[tuple[int, int]]:
        """(row, shift) of the alignments with most tokens in common."""
        tokens, steps = sample.tokens()
        first = np.searchsorted(self._tokens, tokens, "left")
        count = np.searchsorted(self._tokens, tokens, "right") - first
        count[count > COMMON] = 0
        at = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
        shift = self._steps[at] - np.repeat(steps, count)
        pairs, votes = np.unique(np.stack([self._rows[at], shift], axis=1), axis=0, return_counts=True)
        most = np.argsort(-votes, kind="stable")[:CANDIDATES]
        return [(int(row), int(by)) for row, by in pairs[most]]


def _compare(signs: NDArray[np.int8], other: NDArray[np.int8], shift: int) -> tuple[float, float]:
    """Compare step i of the first with step i + shift of the other.

    Returns:
        The share of signs that differ, and by how many standard deviations it is below a half, of independent signs.
    """
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
