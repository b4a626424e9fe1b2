"""Overlap of shard directories: samples that a pretraining corpus and an evaluation set have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from foundation.data.shards.manifest import Manifest, Shard
from foundation.data.shards.near_duplicates import NearDuplicateIndex, Signs
from foundation.data.shards.tar_index import open_shard
from foundation.data.shards.worker_pool import in_order
from foundation.errors import ShardError
from foundation.progress import StepProgress
from foundation.signal import decode

EXAMPLES = 5


@dataclass(frozen=True)
class Overlap:
    """A sample that another directory contains too.

    Attributes:
        key: in the directory.
        other, other_key: the other directory, and the sample there.
        how: "the values are equal", or how the near duplicate differs.
    """

    key: str
    other: Path
    other_key: str
    how: str


def overlaps(directory: Path, others: Sequence[Path], *, workers: int = 1) -> list[Overlap]:
    """Every sample of `directory` that is in one of the others too, with equal values or as a near duplicate.

    `foundation.data.shards.near_duplicates` defines near duplicates and measures how surely they are found.
    Fingerprints of the others stay in memory, 10 KB for a window of 128 packets and 62 changes each.

    Raises:
        ShardError: a directory holds no finished build or no samples, or is one of the others, or a shard is not what
            its manifest says or cannot be read.
    """
    if directory.resolve() in {other.resolve() for other in others}:
        raise ShardError(f"{directory}: cannot be compared with itself; 'wfm shards verify' finds repeated samples.")
    shards = [(path, shard) for path in (*others, directory) for shard in _shards(path)]
    held: dict[Path, list[_Print]] = {other: [] for other in others}
    indices: list[_Index] = []
    found: list[Overlap] = []
    with (
        StepProgress(transient=True) as progress,
        closing(in_order(_prints, shards, workers)) as read,
    ):
        tracked = progress.track(read, total=len(shards), description="compare")
        for (path, _), prints in zip(shards, tracked, strict=True):
            if path in held:
                held[path] += prints
                continue
            indices = indices or [_Index(other, samples) for other, samples in held.items()]
            found += [same for sample in prints for index in indices if (same := index.find(sample))]
    return found


def sentences(directory: Path, found: Sequence[Overlap]) -> list[str]:
    """A sentence for each directory that overlaps, and a few for its samples."""
    lines: list[str] = []
    for other in dict.fromkeys(overlap.other for overlap in found):
        ours = [overlap for overlap in found if overlap.other == other]
        lines.append(f"{other}: {len(ours)} samples of {directory} are in it; leave them out of one of the two.")
        lines += [f"{directory}: {same.key} is {same.other_key} of {other}: {same.how}." for same in ours[:EXAMPLES]]
        if len(ours) > EXAMPLES:
            lines.append(f"{directory}: and {len(ours) - EXAMPLES} more.")
    return lines


@dataclass(frozen=True)
class _Print:
    """Fingerprint of a sample: its key, a hash of its stored values, the signs of its changes."""

    key: str
    content: bytes
    signs: Signs


def _shards(directory: Path) -> list[Shard]:
    manifest = Manifest.load(directory)
    if not manifest.count or not manifest.shards:
        raise ShardError(f"{directory}: holds no samples, so nothing can be compared with it; build it again.")
    return manifest.shards


def _prints(item: tuple[Path, Shard]) -> list[_Print]:
    tar = open_shard(*item)
    prints = []
    for key, members in (tar[index] for index in range(len(tar))):
        signal = decode(members, f"{tar.where}: {key}")
        prints.append(_Print(key, hashlib.sha256(members["signal.npy"]).digest()[:16], Signs.of(signal)))
    return prints


class _Index:
    def __init__(self, other: Path, samples: list[_Print]) -> None:
        self.other, self.keys = other, [sample.key for sample in samples]
        self.contents = {sample.content: sample.key for sample in samples}
        self.copies = NearDuplicateIndex([sample.signs for sample in samples])

    def find(self, sample: _Print) -> Overlap | None:
        if sample.content in self.contents:
            return Overlap(sample.key, self.other, self.contents[sample.content], "the values are equal")
        copy = self.copies.find(sample.signs)
        if copy is None:
            return None
        how = f"a near duplicate shifted by {copy.shift} steps, {copy.disagreement:.1%} of its signs differ"
        return Overlap(sample.key, self.other, self.keys[copy.row], how)
