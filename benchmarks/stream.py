"""Reading shards: the mapped stream of `wfm pretrain` beside the webdataset pipeline, from disk, over HTTP and from S3.

2000 simulated windows in shards of 32 MB, one pass over all of them in one process. `webdataset, its own decoders`
yields plain arrays and dictionaries in stored order; `pipeline` is `foundation.data.webdataset.pipeline` and `stream`
what `ShardStream` reads, both shuffled and with checked Signals. Batches of the stream are fields, which the device
cuts into tokens; `shards known` is every pass but the first, in which a shard is indexed and compared with its hash.
Files are in the page cache; the HTTP and S3 (moto) servers are other processes of the same machine. On one thread the
processor time of the reading process counts, so that remote rows say what fetching costs the reader, not how fast a
network or a server is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path

import webdataset as wds

from benchmarks.rows import Rows, in_turns
from benchmarks.servers import http_server, s3_server
from foundation.config import CorpusSection
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest
from foundation.data.shards.write import write_shards
from foundation.data.shuffle import Order
from foundation.data.stream import ShardStream
from foundation.data.tokens import tokenize
from foundation.data.webdataset import pipeline
from foundation.datasets import open_dataset
from foundation.models import WfmConfig

ROUNDS, COUNT, BATCH, BUFFER = 3, 2000, 32, 1000


def read_all(samples: Callable[[], Iterable[object]]) -> None:
    for _ in samples():
        pass


def plain(folder: Path) -> Iterable[object]:
    paths = [str(folder / shard.file) for shard in Manifest.load(folder).shards]
    return wds.WebDataset(paths, shardshuffle=False).decode()


def streamed(where: Path | str) -> Iterable[object]:
    """Signals in the order of the stream."""
    corpus = Corpus(CorpusSection(shards=where))
    order = Order(corpus.counts, seed=0)
    return (corpus.read(*order.at(position)) for position in range(order.total))


def streamed_batches(where: Path | str) -> Iterable[object]:
    return ShardStream([CorpusSection(shards=where)], WfmConfig(), BATCH, 0, COUNT // BATCH)


def opened(where: Path) -> Callable[[], Iterable[object]]:
    """Batches pass after pass; in the first, which is not timed, shards are indexed and compared with the manifest."""
    steps = COUNT // BATCH
    batches = iter(ShardStream([CorpusSection(shards=where)], WfmConfig(), BATCH, 0, (ROUNDS + 1) * steps))
    return lambda: islice(batches, steps)


def pipeline_batches(where: Path | str) -> Iterable[object]:
    return pipeline(where, shuffle=BUFFER).batched(BATCH, collation_fn=partial(tokenize, spec=WfmConfig()))


def rates(ways: dict[str, Callable[[], Iterable[object]]]) -> dict[str, float]:
    """Samples per second of each way."""
    seconds = in_turns({name: partial(read_all, way) for name, way in ways.items()}, ROUNDS)
    return {name: COUNT / took for name, took in seconds.items()}


def main() -> None:
    rows = Rows(__file__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_shards(open_dataset("simulated", count=COUNT, seed=0), folder)
        base = "webdataset, its own decoders"
        local = rates(
            {
                base: lambda: plain(folder),
                "pipeline, signals": lambda: pipeline(folder, shuffle=BUFFER),
                "stream, signals": lambda: streamed(folder),
                "pipeline, token batches": lambda: pipeline_batches(folder),
                "stream, batches of fields": lambda: streamed_batches(folder),
                "stream, batches of fields, shards known": opened(folder),
            }
        )
        for way, rate in local.items():
            rows.add(way, rate, "samples/s", base, rate / local[base])
        for scheme, server in (("http", http_server), ("s3", s3_server)):
            with server(folder) as where:
                remote = rates(
                    {
                        f"pipeline, signals, {scheme}": lambda where=where: pipeline(where, shuffle=BUFFER),  # type: ignore[misc]
                        f"stream, signals, {scheme}": lambda where=where: streamed(where),  # type: ignore[misc]
                    }
                )
            for way, rate in remote.items():
                same = way.removesuffix(f", {scheme}")
                rows.add(way, rate, "samples/s", f"{same} from disk", rate / local[same])
    rows.write()


if __name__ == "__main__":
    main()
