"""A resumable stream of token batches over shard directories (WebDataset tars and their manifests).

All ranks and workers share one endless order of samples, see `foundation.data.order`; a step takes the next of it, a
batch for every rank, see `foundation.data.batches`. The state is one number, the position, which means the same to any
number of them: it comes with every batch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch.utils.data

from foundation.data.batches import cut
from foundation.data.manifest import Manifest, Shard
from foundation.data.order import Mixture, Order
from foundation.data.tarfiles import TarShard, is_url, open_shard
from foundation.data.thin import demand_kinds, sessions_of, thinned
from foundation.data.tokens import Batch, TokenSpec, layout_of, pad, tokenize_one
from foundation.errors import ShardError, SignalError
from foundation.signal import Signal, decode, stored_shape

BAD_SAMPLES = 100  # undecodable samples after which a stream gives up
OPEN_SHARDS = 48


@dataclass(frozen=True)
class Part:
    """Samples of one shard directory: those of a split's part, or all. `weight` counts in a mixture of several.

    `kinds`, `sessions` and `samples` take less of it, see `foundation.data.thin`; None: all.
    """

    directory: str | Path
    split: str | None = None
    part: str | Sequence[str] | None = None
    weight: float = 1.0
    kinds: Sequence[str] | None = None
    sessions: int | None = None
    samples: int | None = None

    @property
    def is_thinned(self) -> bool:
        return (self.kinds, self.sessions, self.samples) != (None, None, None)


class Corpus:
    """Random access to the samples of a part, in shard order.

    Raises:
        ShardError: no such directory, split or part, only half of the two (that would read test sessions unasked), or
            less in it than is asked for.
    """

    def __init__(self, part: Part) -> None:
        self.directory = part.directory
        manifest = Manifest.load(part.directory)
        if (part.split is None) != (part.part is None):
            raise ShardError(
                f"{manifest.name}: split is {part.split!r} but part is {part.part!r}; give both, or neither for all."
            )
        wanted = None if part.split is None or part.part is None else set(manifest.sessions(part.split, part.part))
        found = [(shard, _places(shard, wanted)) for shard in manifest.shards]
        self.shards = [(shard, places) for shard, places in found if len(places)]
        self._open = lru_cache(maxsize=OPEN_SHARDS)(self._opened)
        for shard, _ in self.shards:
            if not is_url(str(part.directory)) and not Path(part.directory, shard.file).exists():
                raise ShardError(
                    f"{part.directory}: shard {shard.file} of the manifest is missing; "
                    f"restore it or rebuild, then run 'wfm shards verify {part.directory}'."
                )
        if part.kinds is not None:
            self._keep_kinds(part.kinds, list(manifest.summary.kinds))
        if part.is_thinned:
            self.shards = thinned(self.shards, part.sessions, part.samples, str(part.directory))

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
    return list(Corpus(Part(directory, split, part)))


class ShardStream(torch.utils.data.IterableDataset):
    """One batch of one rank for every step that is left, from a position on, and the position behind each step.

    Args:
        parts: what is mixed; each sample of a part comes once before any comes again.
        temperature: samples are drawn from a part in proportion to weight x size ** (1 / temperature).
        batch_size: the most samples of a batch; fewer where one cannot be decoded or `batch_tokens` is reached.
        batch_tokens: the most tokens of a batch, padding not counted.
        position: samples that all ranks together have had before.
        start: steps out of `steps` that were done before.
        rank, world: this process among all.
        augment: changes a signal, given a seed of its own.

    Raises:
        ShardError: as `Corpus`, or there is less than one batch for every rank.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        spec: TokenSpec,
        batch_size: int,
        seed: int,
        steps: int,
        *,
        position: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        batch_tokens: int | None = None,
        temperature: float = 1.0,
        augment: Callable[[Signal, int], Signal] | None = None,
    ) -> None:
        self.batch_tokens = batch_tokens
        self.spec, self.batch_size, self.seed, self.steps = spec, batch_size, seed, steps
        self.position, self.start, self.rank, self.world, self.augment = position, start, rank, world, augment
        self.corpora = [Corpus(part) for part in parts]
        self.orders = [Order(corpus.counts, seed) for corpus in self.corpora]
        self.total = sum(order.total for order in self.orders)
        if self.total < batch_size * world or not all(order.total for order in self.orders):
            where = ", ".join(str(part.directory) for part in parts)
            raise ShardError(
                f"{where}: {self.total} samples for {world} ranks, less than one batch of {batch_size} for each, or a "
                "part is empty; build more, or lower train.batch_size."
            )
        sizes = [order.total ** (1 / temperature) for order in self.orders]
        shares = [part.weight * size for part, size in zip(parts, sizes, strict=True)]
        self.mixture = Mixture(shares, seed)
        self.skipped = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Batch, int]]:
        worker = torch.utils.data.get_worker_info()
        index, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        every = cut(self.position, self.world, self.batch_size, self.batch_tokens, self.length)
        # The loader asks its workers in turn: together they give the order that one would give.
        for ranks in islice(every, index, self.steps - self.start, workers):
            yield self._batch(ranks[self.rank]), ranks[-1].stop

    def length(self, position: int) -> int:
        """Tokens of the sample at a position of the order that all processes share."""
        which, within = self.mixture.at(position)
        return self.corpora[which].tokens(*self.orders[which].at(within), self.spec)

    def _batch(self, positions: range) -> Batch:
        samples = [tokens for position in positions if (tokens := self._tokens(position)) is not None]
        if not samples:
            raise ShardError(f"no sample of a whole batch can be decoded (positions {positions}); see those skipped.")
        return pad(samples)

    def _tokens(self, position: int) -> dict[str, np.ndarray] | None:
        which, within = self.mixture.at(position)
        try:
            signal = self.corpora[which].read(*self.orders[which].at(within))
        except DamagedShardError:
            raise
        except ShardError as error:
            self.skipped += 1
            print(f"skipped: {error}")
            if self.skipped > BAD_SAMPLES:
                raise ShardError(f"more than {BAD_SAMPLES} samples cannot be decoded, the last: {error}") from error
            return None
        if self.augment is not None:
            signal = self.augment(signal, self.seed * 1_000_003 + position)
        return tokenize_one(signal, self.spec)


def _places(shard: Shard, wanted: set[str] | None) -> np.ndarray:
    """Which samples of a shard are wanted: sessions follow each other in the order of the manifest."""
    ends = np.cumsum(list(shard.sessions.values()))
    ranges = [
        np.arange(end - count, end)
        for (session, count), end in zip(shard.sessions.items(), ends, strict=True)
        if wanted is None or session in wanted
    ]
    return np.concatenate(ranges) if ranges else np.empty(0, np.int64)
