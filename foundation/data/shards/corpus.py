"""Random access to the samples of a shard directory, local or behind a URL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from foundation.config import CorpusSection
from foundation.config.address import local_path
from foundation.config.redaction import published
from foundation.data.shards.address import is_url, join
from foundation.data.shards.manifest import Manifest, Shard
from foundation.data.shards.subset import Selection, select_subset, sessions_of
from foundation.data.shards.tar_index import TarShard, open_shard
from foundation.data.tokens import TokenSpec, layout_of
from foundation.errors import ShardError, SignalError
from foundation.signal import Signal, decode, stored_shape

OPEN_SHARDS = 48


class Corpus:
    """Random access to the samples of a part, in shard order.

    Raises:
        ShardError: no such directory, split or part; only one of split and part is given (test sessions would be
            read); or there is less in the part than requested.
    """

    def __init__(self, part: CorpusSection) -> None:
        self.directory, self.where = part.shards, published(part.shards)
        manifest = Manifest.load(part.shards)
        self.shards = select_part(manifest, part.split, part.part)
        self._open = lru_cache(maxsize=OPEN_SHARDS)(self._opened)  # by file: a shard behind a URL is fetched once
        for shard, _ in self.shards:
            if not is_url(part.shards) and not Path(part.shards, shard.file).exists():
                raise ShardError(
                    f"{part.shards}: shard {shard.file} of the manifest is missing; "
                    f"restore it or rebuild, then run 'wfm shards verify {part.shards}'."
                )
        if part.kinds is not None:
            self._keep_kinds(part.kinds, list(manifest.summary.kinds))
        if part.is_subset:
            self.shards = select_subset(self.shards, part.sessions, part.samples, self.where)

    @property
    def counts(self) -> list[int]:
        """Selected samples of every shard."""
        return [len(indices) for _, indices in self.shards]

    @property
    def sessions(self) -> dict[str, int]:
        """Selected samples of every session."""
        counts: Counter[str] = Counter()
        for shard, indices in self.shards:
            counts.update(sessions_of(shard, indices).tolist())
        return dict(counts)

    def read(self, shard: int, index: int) -> Signal:
        """The `index`-th selected sample of a shard.

        Raises:
            ShardError: the shard is missing or damaged, or the sample cannot be decoded.
        """
        where, members = self.members(shard, index)
        try:
            return decode(members, where)
        except SignalError as error:
            raise ShardError(f"{where}: {error}") from error

    def tokens(self, shard: int, index: int, spec: TokenSpec) -> int:
        """Number of tokens of the sample; 1 if its header is damaged, which `read` reports.

        Raises:
            ShardError: the shard is missing or damaged.
        """
        try:
            return layout_of(stored_shape(self.members(shard, index)[1]), spec).tokens
        except (ValueError, KeyError):
            return 1

    def members(self, shard: int, index: int) -> tuple[str, Mapping[str, memoryview]]:
        """Shard and key of a sample, for errors, and its members as stored.

        Raises:
            ShardError: the shard is missing or damaged.
        """
        entry, indices = self.shards[shard]
        tar = self._open(entry.file, entry.count)
        key, members = tar[int(indices[index])]
        return f"{tar.where}:{key}", members

    def __iter__(self) -> Iterator[Signal]:
        for shard, count in enumerate(self.counts):
            for index in range(count):
                yield self.read(shard, index)

    def _keep_kinds(self, kinds: Sequence[str], known: Sequence[str]) -> None:
        """Keep samples of these kinds. The manifest has totals only, so that the metadata of every sample is read."""
        kept = []
        for number, (shard, indices) in enumerate(self.shards):
            own = [self._kind(number, index) in kinds for index in range(len(indices))]
            kept.append((shard, indices[np.array(own, bool)]))
        self.shards = [(shard, indices) for shard, indices in kept if len(indices)]
        if not self.shards:
            raise ShardError(f"{self.where}: no sample is of kind {', '.join(kinds)}; its kinds: {', '.join(known)}.")

    def _kind(self, shard: int, index: int) -> str:
        where, members = self.members(shard, index)
        try:
            return str(json.loads(bytes(members["meta.json"]))["kind"])
        except (KeyError, ValueError, TypeError) as error:
            raise ShardError(f"{where}: its kind cannot be read ({error}); run 'wfm shards verify'.") from error

    def _opened(self, file: str, count: int) -> TarShard:
        advice = advice_on_damage(self.directory)
        try:
            tar = open_shard(join(self.directory, file))
        except ShardError as error:
            raise DamagedShardError(str(error) if is_url(self.directory) else f"{error} ({advice})") from error
        if len(tar) != count:
            raise DamagedShardError(f"{self.where}: shard {file} holds {len(tar)} of {count} samples; {advice}.")
        return tar


class DamagedShardError(ShardError):
    """A whole shard cannot be read, not only one of its samples."""


def read_part(directory: str | Path, split: str | None = None, part: str | Sequence[str] | None = None) -> list[Signal]:
    """All signals of a split's part (or of the whole directory), in shard order, in memory.

    Raises:
        ShardError: as `Corpus`.
    """
    return list(Corpus(CorpusSection(shards=directory, split=split, part=part)))


def advice_on_damage(directory: str | Path) -> str:
    """The end of an error sentence about a damaged shard."""
    return "upload it again" if is_url(directory) else f"run 'wfm shards verify {local_path(str(directory))}'"


def select_part(manifest: Manifest, split: str | None, part: str | Sequence[str] | None) -> Selection:
    """The samples of one part of a split, or of several together; of all sessions where both are None.

    Raises:
        ShardError: no such split or part, or only one of the two is given.
    """
    if (split is None) != (part is None):
        raise ShardError(f"{manifest.name}: split is {split!r} but part is {part!r}; give both, or neither for all.")
    wanted = None if split is None or part is None else set(manifest.sessions(split, part))
    found = [(shard, _indices(shard, wanted)) for shard in manifest.shards]
    return [(shard, indices) for shard, indices in found if len(indices)]


def _indices(shard: Shard, wanted: set[str] | None) -> np.ndarray:
    """Indices int64 [n] of the samples of these sessions; sessions are stored in the order of the manifest."""
    ends = np.cumsum(list(shard.sessions.values()))
    ranges = [
        np.arange(end - count, end)
        for (session, count), end in zip(shard.sessions.items(), ends, strict=True)
        if wanted is None or session in wanted
    ]
    return np.concatenate(ranges) if ranges else np.empty(0, np.int64)
