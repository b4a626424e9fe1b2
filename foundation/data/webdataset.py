"""A plain `webdataset` pipeline over shard directories: sequential reading, for code that is built on WebDataset.

`foundation.data.stream` is what `wfm pretrain` uses: it reads local shards by random access, resumes at any sample and
gives the same order to any number of processes. A pipeline reads whole shards in sequence, splits them over nodes and
workers by shard, and composes with every stage of the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import webdataset as wds

from foundation.data.shards.address import join
from foundation.data.shards.corpus import advice_on_damage, check_files, select_part
from foundation.data.shards.manifest import Manifest, Shard
from foundation.data.shards.tar_index import DamagedShardError, open_shard
from foundation.errors import ShardError, SignalError
from foundation.json_file import parse_json
from foundation.signal import Signal, decode

Sample = dict[str, Any]


class SignalPipeline(wds.DataPipeline, wds.FluidInterface):
    """A `webdataset.DataPipeline`; methods such as `.map`, `.select` and `.batched` add stages."""


def pipeline(
    shards: str | Path,
    split: str | None = None,
    part: str | Sequence[str] | None = None,
    *,
    shuffle: int = 0,
    seed: int = 0,
) -> SignalPipeline:
    """A `webdataset` pipeline that yields the Signals of one part of a shard directory.

    Shards are split by node and by DataLoader worker (`split_by_node`, `split_by_worker`): each sample is read by one
    worker of one rank per pass, and a rank may have more samples than another. A directory with fewer shards than
    ranks x workers leaves some of them idle. A shard behind a URL is fetched once per pass, without a command.

    Example::

        signals = pipeline("data/simulated", "room", "train", shuffle=1000)
        batches = signals.batched(32, collation_fn=partial(tokenize, spec=model.config))
        loader = webdataset.WebLoader(batches, batch_size=None, num_workers=2)

    Args:
        shards: a local directory, or an http, https, s3 or gs URL.
        split, part: as in a recipe; None reads all sessions.
        shuffle: samples in the shuffle buffer; 0 keeps the stored order. With a buffer the shards are shuffled too.
        seed: of the shuffle. Each pass over one pipeline has its own order, the n-th pass the same in every process. A
            DataLoader that starts workers anew for every pass repeats the first one: give it `persistent_workers=True`.

    Raises:
        ShardError: no such directory, split or part. While iterating: a shard cannot be read, is not what its manifest
            says, or has a sample that cannot be decoded.
    """
    manifest = Manifest.load(shards)
    check_files(shards, manifest)
    entries = {join(shards, shard.file): shard for shard, _ in select_part(manifest, split, part)}
    wanted = None if split is None or part is None else frozenset(manifest.sessions(split, part))
    return SignalPipeline(
        wds.SimpleShardList(list(entries)),
        wds.detshuffle(bufsize=len(entries), initial=len(entries), seed=seed) if shuffle else None,
        wds.split_by_node,
        wds.split_by_worker,
        partial(_samples, directory=shards, entries=entries),
        wds.select(partial(_is_of, wanted)) if wanted is not None else None,
        wds.detshuffle(bufsize=shuffle, initial=shuffle, seed=seed) if shuffle else None,
        wds.map(_decode),
    )


def _samples(sources: Iterable[Sample], directory: str | Path, entries: dict[str, Shard]) -> Iterator[Sample]:
    """The samples of every shard, once it has been compared with the manifest."""
    for source in sources:
        try:
            tar = open_shard(directory, entries[source["url"]])
        except DamagedShardError as error:
            raise DamagedShardError(f"{error} ({advice_on_damage(directory)}).") from error
        for key, members in (tar[index] for index in range(len(tar))):
            yield {"__key__": key, "__url__": tar.where, **members}


def _is_of(sessions: frozenset[str], sample: Sample) -> bool:
    try:
        return parse_json(sample["meta.json"], finite=False)["session"] in sessions
    except (ValueError, LookupError, TypeError):
        return True  # decoding says what is wrong


def _decode(sample: Sample) -> Signal:
    where = f"{sample['__url__']}:{sample['__key__']}"
    try:
        return decode(sample, where)
    except SignalError as error:
        raise ShardError(f"{where}: {error}") from error
