"""Reading shards: python benchmarks/stream.py [DIRECTORY]. Every line is a way to the same samples, in one run.

`cat` is what the disk and the page cache give; `tarfile` hands out the bytes of every member; `webdataset` decodes them
by its own default handlers; `foundation` gives checked signals in the shuffled order of training, and then tokens.
"""

from __future__ import annotations

import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import webdataset as wds

from foundation.config import CorpusSection
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest
from foundation.data.shards.write import write_shards
from foundation.data.shuffle import Order
from foundation.data.stream import ShardStream
from foundation.datasets import open_dataset
from foundation.models import WfmConfig

REPEATS = 5


def cat(paths: list[Path]) -> Iterable[None]:
    """One item per shard: the files' bytes and nothing else."""
    for path in paths:
        path.read_bytes()
        yield None


def tar(paths: list[Path]) -> Iterable[None]:
    for path in paths:
        with tarfile.open(path) as file:
            for member in file:
                file.extractfile(member).read()  # type: ignore[union-attr]
                yield None


def plain_webdataset(paths: list[Path]) -> Iterable[object]:
    return wds.WebDataset([str(path) for path in paths], shardshuffle=False).decode()


def signals(directory: Path) -> Iterable[object]:
    corpus = Corpus(CorpusSection(shards=directory))
    order = Order(corpus.counts, seed=0)
    return (corpus.read(*order.at(position)) for position in range(order.total))


def batches(directory: Path, count: int) -> Iterable[object]:
    return ShardStream([CorpusSection(shards=directory)], WfmConfig(), 32, 0, count // 32)


def main(directory: Path) -> None:
    """Print the median of `REPEATS` rounds; the ways take turns, so that a slow moment of the machine hits them all."""
    manifest = Manifest.load(directory)
    paths = [directory / shard.file for shard in manifest.shards]
    ways: dict[str, Callable[[], Iterable[object]]] = {
        "cat": lambda: cat(paths),
        "tarfile, bytes": lambda: tar(paths),
        "webdataset, decoded": lambda: plain_webdataset(paths),
        "foundation, shuffled signals": lambda: signals(directory),
        "foundation, token batches": lambda: batches(directory, manifest.count),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, way in ways.items():
            begin = time.perf_counter()
            for _ in way():
                pass
            seconds[name].append(time.perf_counter() - begin)
    base = statistics.median(seconds["webdataset, decoded"])
    for name, values in seconds.items():
        took = statistics.median(values)
        print(
            f"{name:30} {manifest.count / took:9,.0f} samples/s {manifest.bytes / took / 1e6:8,.0f} MB/s "
            f"{base / took:6.2f} x webdataset"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_shards(open_dataset("simulated", count=2000, seed=0), Path(folder))
            main(Path(folder))
