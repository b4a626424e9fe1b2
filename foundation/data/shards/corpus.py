"""Random access to the samples of a shard directory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from foundation.config import CorpusSection
from foundation.data.shards.manifest import Manifest, Shard
from foundation.data.shards.subset import demand_kinds, sessions_of, subset
from foundation.data.shards.tar_index import TarShard, is_url, open_shard
from foundation.data.tokens import TokenSpec, layout_of
from foundation.errors import ShardError, SignalError
from foundation.signal import Signal, decode, stored_shape

OPEN_SHARDS = 48


class Corpus:
    """Random access to the samples of a part, in shard order.

    Raises:
        ShardError: no such directory, split or part, only half of the two (that would read test sessions unasked), or
            less in it than is asked for.
    """

    def __init__(self, part: CorpusSection) -> None:
        self.directory = part.shards
        manifest = Manifest.load(part.shards)
        if (part.split is None) != (part.part is None):
            raise ShardError(
                f"{manifest.name}: split is {part.split!r} but part is {part.part!r}; give both, or neither for all."
            )
        wanted = None if part.split is None or part.part is None else set(manifest.sessions(part.split, part.part))
        found = [(shard, _places(shard, wanted)) for shard in manifest.shards]
        self.shards = [(shard, places) for shard, places in found if len(places)]
        self._open = lru_cache(maxsize=OPEN_SHARDS)(self._opened)
        for shard, _ in self.shards:
            if not is_url(str(part.shards)) and not Path(part.shards, shard.file).exists():
                raise ShardError(
                    f"{part.shards}: shard {shard.file} of the manifest is missing; "
                    f"restore it or rebuild, then run 'wfm shards verify {part.shards}'."
                )
        if part.kinds is not None:
            self._keep_kinds(part.kinds, list(manifest.summary.kinds))
        if part.is_subset:
            self.shards = subset(self.shards, part.sessions, part.samples, str(part.shards))

    @property
    def counts(self) -> list[int]:
        """Wanted samples of every shard."""
        return [len(places) for _, places in self.shards]

    @property
    def sessions(self) -> dict[str, int]:
        """Wanted samples of every session."""
        counts: Counter[str] = Counter()
        for shard, places in self.shards:
            counts.update(sessions_of(shard, places).tolist())
        return dict(counts)

    def read(self, shard: int, index: int) -> Signal:
        """The `index`-th wanted sample of a shard.

        Raises:
            ShardError: the shard is missing or damaged, or the sample cannot be decoded.
        """
        where, members = self.members(shard, index)
        try:
            return decode(members, where)
        except SignalError as error:
            raise ShardError(f"{where}: {error}") from error

    def tokens(self, shard: int, index: int, spec: TokenSpec) -> int:
        """How many tokens the sample has; 1 where that cannot be read, as reading it will say.

        Raises:
            ShardError: the shard is missing or damaged.
        """
        try:
            return layout_of(stored_shape(self.members(shard, index)[1]), spec).tokens
        except (ValueError, KeyError):
            return 1

    def members(self, shard: int, index: int) -> tuple[str, Mapping[str, memoryview]]:
        """Where a sample is, for errors, and its members as they are stored.

        Raises:
            ShardError: the shard is missing or damaged.
        """
        tar = self._open(shard)
        key, members = tar[int(self.shards[shard][1][index])]
        return f"{tar.where}:{key}", members

    def __iter__(self) -> Iterator[Signal]:
        for shard, count in enumerate(self.counts):
            for index in range(count):
                yield self.read(shard, index)

    def _keep_kinds(self, kinds: Sequence[str], known: Sequence[str]) -> None:
        """The manifest counts kinds over all samples: which sample is of which only the samples tell."""
        kept = []
        for number, (shard, places) in enumerate(self.shards):
            own = [self._kind(number, index) in kinds for index in range(len(places))]
            kept.append((shard, places[np.array(own, bool)]))
        demand_kinds(sum(len(places) for _, places in kept), kinds, known, str(self.directory))
        self.shards = [(shard, places) for shard, places in kept if len(places)]
        self._open.cache_clear()  # shards have other numbers now

    def _kind(self, shard: int, index: int) -> str:
        where, members = self.members(shard, index)
        try:
            return str(json.loads(bytes(members["meta.json"]))["kind"])
        except (KeyError, ValueError, TypeError) as error:
            raise ShardError(f"{where}: its kind cannot be read ({error}); run 'wfm shards verify'.") from error

    def _opened(self, index: int) -> TarShard:
        shard = self.shards[index][0]
        advice = f"run 'wfm shards verify {self.directory}'"
        try:
            tar = open_shard(f"{self.directory}/{shard.file}")
        except ShardError as error:
            raise DamagedShardError(f"{error} ({advice})") from error
        if len(tar) != shard.count:
            raise DamagedShardError(
                f"{self.directory}: shard {shard.file} holds {len(tar)} of {shard.count} samples; {advice}."
            )
        return tar


class DamagedShardError(ShardError):
    """A whole shard cannot be read: not a matter of one sample."""


def read_part(directory: str | Path, split: str | None = None, part: str | Sequence[str] | None = None) -> list[Signal]:
    """All signals of a split's part (or of the whole directory), in shard order, in memory.

    Raises:
        ShardError: as `Corpus`.
    """
    return list(Corpus(CorpusSection(shards=directory, split=split, part=part)))


def _places(shard: Shard, wanted: set[str] | None) -> np.ndarray:
    """Which samples of a shard are wanted: sessions follow each other in the order of the manifest."""
    ends = np.cumsum(list(shard.sessions.values()))
    ranges = [
        np.arange(end - count, end)
        for (session, count), end in zip(shard.sessions.items(), ends, strict=True)
        if wanted is None or session in wanted
    ]
    return np.concatenate(ranges) if ranges else np.empty(0, np.int64)
