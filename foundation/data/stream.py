"""A resumable stream of token batches over a shard directory (WebDataset tars and their manifest).

The order is a function of (seed, epoch). Shards are dealt to ranks and then to workers, so no two see one sample. The
state is (epoch, batches delivered): a resumed stream rebuilds the same pipeline and skips what was delivered. With
several workers each has its own state, and a consumer must count to `len` as Lightning does: after a resume among an
epoch's last batches, a worker that was done has begun the next epoch. That is exact where an epoch has more batches
for each worker than it prefetches (four will do).
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.utils.data
import webdataset as wds

from foundation.data.manifest import Manifest, Shard, count_sessions
from foundation.data.tokens import Batch, TokenSpec, pad, tokenize_one
from foundation.errors import ShardError, SignalError
from foundation.signal import Signal, decode

SUFFIXES = ("signal.npy", "clean.npy", "meta.json")
SHUFFLE = 1000  # samples in the shuffle buffer
BAD_SAMPLES = 100  # undecodable samples after which a stream gives up


def read_part(directory: Path, split: str | None = None, part: str | Sequence[str] | None = None) -> list[Signal]:
    """All signals of a split's part (or of the whole directory), in shard order, in memory.

    Raises:
        ShardError: no such directory, split or part, or a sample that cannot be decoded.
    """
    manifest = Manifest.load(directory)
    wanted = _sessions(manifest, split, part)
    signals = (_decode(sample) for sample in _samples(directory, _shards_with(manifest, wanted)))
    return [signal for signal in signals if wanted is None or signal.session in wanted]


@dataclass
class ShardStream(torch.utils.data.IterableDataset):
    """Batches of one epoch per iteration, for one rank.

    Args:
        directory: shards and manifest.
        split, part: which sessions to read; None reads every sample.
        batch_size: samples a batch on this rank.
        rank, world: this process among all.
        workers: loader processes of this rank. An epoch gives each the same number of batches: an exhausted loader
            that is resumed would otherwise ask another worker first.
    """

    directory: Path
    spec: TokenSpec
    split: str | None
    part: str | Sequence[str] | None
    batch_size: int
    seed: int
    rank: int = 0
    world: int = 1
    augment: Callable[[Signal, int], Signal] | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        manifest = Manifest.load(self.directory)
        self._wanted = _sessions(manifest, self.split, self.part)
        self._shards = _shards_with(manifest, self._wanted)
        for shard in self._shards:
            if not (self.directory / shard.file).exists():
                raise ShardError(
                    f"{self.directory}: shard {shard.file} of the manifest is missing; "
                    f"restore it or rebuild, then run 'wfm shards verify {self.directory}'."
                )
        self.epoch, self.delivered, self.skipped, self._skip = 0, 0, 0, 0
        self._per_rank = [_count(self._shards[r :: self.world], self._wanted) for r in range(self.world)]
        if len(self) == 0:
            raise ShardError(
                f"{self.directory}: {len(self._shards)} shards hold {self._per_rank} samples for the {self.world} "
                f"ranks, less than one batch of {self.batch_size} for each worker; build more or smaller shards, "
                "or lower train.batch_size."
            )

    def __len__(self) -> int:
        """Batches an epoch, equal on all ranks; what is left over is reshuffled into the next epoch."""
        workers = max(1, self.workers)
        return min(self._per_rank) // (self.batch_size * workers) * workers

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "delivered": self.delivered}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.delivered = state["epoch"], state["delivered"]
        self._skip = self.delivered

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        index, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        mine = self._shards[self.rank :: self.world]
        if len(mine) < workers:
            raise ShardError(
                f"{self.directory}: {len(mine)} shards for {workers} workers of rank {self.rank}; lower data.workers."
            )
        # Only a loaded state is skipped to: a worker whose last iteration was abandoned has run ahead of the consumer.
        skip, self._skip, self.delivered = self._skip, 0, 0
        batches = self._batches(mine[index::workers], index)
        # Workers take turns; the first ones deliver the remainder of an uneven split.
        share = len(self) // workers + (index < len(self) % workers)
        for number in range(share):
            batch = next(batches)
            # With its last batch the epoch is over: a consumer that counts to `len` never asks again.
            last = number + 1 == share
            self.epoch, self.delivered = (self.epoch + 1, 0) if last else (self.epoch, number + 1)
            if number >= skip:
                yield batch

    def _batches(self, shards: list[Shard], worker: int) -> Iterator[Batch]:
        """Endless batches; a worker whose shards run short of its share goes round once more, in another order."""
        pending: list[Any] = []
        round_ = 0
        while True:
            order = wds.detshuffle(len(shards), seed=self.seed + round_, epoch=self.epoch - 1)
            mixed = wds.detshuffle(SHUFFLE, seed=self.seed + 7919 * worker + round_, epoch=self.epoch - 1)
            for count, signal in enumerate(mixed.run(self._signals(list(order.run(iter(shards)))))):
                if self.augment is not None:
                    signal = self.augment(signal, hash((self.seed, self.epoch, worker, round_, count)) % 2**63)
                pending.append(tokenize_one(signal, self.spec))
                if len(pending) == self.batch_size:
                    yield pad(pending)
                    pending = []
            round_ += 1

    def _signals(self, shards: list[Shard]) -> Iterator[Signal]:
        for sample in _samples(self.directory, shards):
            try:
                signal = _decode(sample)
            except ShardError as error:
                self.skipped += 1
                print(f"skipped: {error}")
                if self.skipped > BAD_SAMPLES:
                    raise ShardError(f"{self.directory}: more than {BAD_SAMPLES} samples cannot be decoded.") from error
                continue
            if self._wanted is None or signal.session in self._wanted:
                yield signal


def _samples(directory: Path, shards: list[Shard]) -> Iterator[dict[str, Any]]:
    read = wds.tarfile_to_samples(select_files=lambda name: name.endswith(SUFFIXES))
    for shard in shards:
        count = 0
        try:
            for sample in read([{"url": str(directory / shard.file)}]):
                count += 1
                yield sample
        except (OSError, ValueError, tarfile.TarError) as error:
            raise ShardError(f"{directory}: {error}; run 'wfm shards verify {directory}'.") from error
        # tarfile takes a damaged header for the end of the archive.
        if count != shard.count:
            raise ShardError(
                f"{directory}: shard {shard.file} ends after {count} of {shard.count} samples; "
                f"run 'wfm shards verify {directory}'."
            )


def _decode(sample: dict[str, Any]) -> Signal:
    where = f"{sample['__url__']}:{sample['__key__']}"
    try:
        return decode({name: sample[name] for name in SUFFIXES if name in sample}, where)
    except SignalError as error:
        raise ShardError(f"{where}: {error}") from error


def _sessions(manifest: Manifest, split: str | None, part: str | Sequence[str] | None) -> set[str] | None:
    """Sessions of a split's part; None for all. Half an answer would silently read the test sessions too."""
    if (split is None) != (part is None):
        raise ShardError(f"{manifest.name}: split is {split!r} but part is {part!r}; give both, or neither for all.")
    return None if split is None or part is None else set(manifest.sessions(split, part))


def _shards_with(manifest: Manifest, wanted: set[str] | None) -> list[Shard]:
    return [s for s in manifest.shards if wanted is None or not wanted.isdisjoint(s.sessions)]


def _count(shards: list[Shard], wanted: set[str] | None) -> int:
    return sum(n for session, n in count_sessions(shards).items() if wanted is None or session in wanted)
