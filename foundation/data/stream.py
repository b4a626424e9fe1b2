"""A resumable stream of token batches over shard directories (WebDataset tars and their manifests).

All ranks and workers share one endless order of samples, see `foundation.data.shuffle`; a step takes the next samples,
a batch for every rank, see `foundation.data.batching`. The state is one number, the position, which is valid for any
number of processes; it comes with every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import torch.utils.data

from foundation.config import CorpusSection
from foundation.data.batching import cut
from foundation.data.layout import PlainSpec, TokenSpec
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.shard_cache import ShardCache
from foundation.data.shards.tar_index import DamagedShardError
from foundation.data.shuffle import Mixture, Order
from foundation.data.tokens import Collated, Sample, collate, sample_of
from foundation.errors import ShardError
from foundation.redaction import published
from foundation.signal import Signal

BAD_SAMPLES = 100  # undecodable samples after which a stream gives up


class ShardStream(torch.utils.data.IterableDataset):
    """Iterable over (batch of this rank, position after the step) for every remaining step.

    Args:
        parts: corpora of the mixture; each sample of a part comes once before any comes again.
        temperature: samples are drawn from a part in proportion to weight x size ** (1 / temperature).
        batch_size: maximum samples of a batch; fewer where one cannot be decoded or `batch_tokens` is reached.
        batch_tokens: maximum tokens of a batch, without padding.
        position: samples that all ranks together have consumed before.
        start: steps out of `steps` that are done.
        rank, world: rank of this process and number of ranks.
        augment: changes a signal, given a seed for it.
        prepare: adds to a batch what a step needs besides, given its index among the batches of this rank in the whole
            run; what it returns comes in the batch's place.
        cache: of shards behind URLs.

    Raises:
        ShardError: as `Corpus`, or there is less than one batch for every rank.
    """

    def __init__(
        self,
        parts: Sequence[CorpusSection],
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
        prepare: Callable[[Collated, int], Any] | None = None,
        cache: ShardCache | None = None,
    ) -> None:
        self.batch_tokens = batch_tokens
        self.spec: TokenSpec = PlainSpec(spec)
        self.batch_size, self.seed, self.steps = batch_size, seed, steps
        self.position, self.start, self.rank, self.world = position, start, rank, world
        self.augment, self.prepare = augment, prepare
        self.corpora = [Corpus(part, cache) for part in parts]
        self.orders = [Order(corpus.counts, seed) for corpus in self.corpora]
        self.total = sum(order.total for order in self.orders)
        if self.total < batch_size * world or not all(order.total for order in self.orders):
            where = ", ".join(published(part.shards) for part in parts)
            raise ShardError(
                f"{where}: {self.total} samples for {world} ranks, less than one batch of {batch_size} for each, or a "
                "part is empty; build more, or lower train.batch_size."
            )
        sizes = [order.total ** (1 / temperature) for order in self.orders]
        shares = [part.weight * size for part, size in zip(parts, sizes, strict=True)]
        self.mixture = Mixture(shares, seed)
        self._tokens = lru_cache(maxsize=2 * len(parts))(self._window_tokens)
        self.skipped = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        worker = torch.utils.data.get_worker_info()
        index, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        every = cut(self.position, self.world, self.batch_size, self.batch_tokens, self.lengths)
        # The loader takes batches from its workers in turn: together they yield the order of a single one.
        numbered = enumerate(every, self.start)
        for number, ranks in islice(numbered, index, self.steps - self.start, workers):
            batch = self._batch(ranks[self.rank])
            yield batch if self.prepare is None else self.prepare(batch, number), ranks[-1].stop

    def lengths(self, start: int, stop: int) -> np.ndarray:
        """Tokens int64 [n] of the samples at the positions from `start` to before `stop` of the shared order."""
        which, within = self.mixture.between(start, stop)
        tokens = np.empty(stop - start, np.int64)
        for number, order in enumerate(self.orders):
            own = within[which == number]  # of every sequence one span without a gap
            if len(own):
                spans = order.spans(int(own[0]), int(own[-1]) + 1)
                tokens[which == number] = np.concatenate([self._tokens(number, *at)[rows] for *at, rows in spans])
        return tokens

    def _window_tokens(self, number: int, epoch: int, window: int) -> np.ndarray:
        """int64 [n], of the samples of a window in the order they are read."""
        return self.corpora[number].tokens(self.orders[number].window(epoch, window), self.spec)

    def _batch(self, positions: range) -> Collated:
        samples = [sample for position in positions if (sample := self._sample(position)) is not None]
        if not samples:
            raise ShardError(
                f"no sample of a batch can be decoded (positions {positions}); see the skipped samples above."
            )
        return collate(samples, self.spec)

    def signal(self, position: int) -> Signal:
        """The signal at a position of the shared order, as augmented.

        Raises:
            ShardError: the shard is missing or damaged, or the sample cannot be decoded.
        """
        which, within = self.mixture.at(position)
        signal = self.corpora[which].read(*self.orders[which].at(within), clean=False)
        return signal if self.augment is None else self.augment(signal, self.seed * 1_000_003 + position)

    def _sample(self, position: int) -> Sample | None:
        try:
            signal = self.signal(position)
        except DamagedShardError:
            raise
        except ShardError as error:
            self.skipped += 1
            print(f"skipped: {error}")
            if self.skipped > BAD_SAMPLES:
                raise ShardError(f"more than {BAD_SAMPLES} samples cannot be decoded, the last: {error}") from error
            return None
        return sample_of(signal, self.spec)
