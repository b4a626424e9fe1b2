"""Random access to the samples of a shard directory, local or behind a URL."""

from __future__ import annotations

import mmap
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import accumulate, chain
from pathlib import Path

import numpy as np

from foundation.config import SamplesSection
from foundation.config.address import local_path
from foundation.data.layout import TokenSpec
from foundation.data.shards.address import is_url
from foundation.data.shards.manifest import Manifest, Shard, count_sessions
from foundation.data.shards.shapes import Run, shapes_in, token_counts
from foundation.data.shards.shard_cache import ShardCache
from foundation.data.shards.spec import split_problems
from foundation.data.shards.stated_hashes import load_stated
from foundation.data.shards.subset import (
    Ranges,
    Selection,
    packed,
    pieces_of,
    ranges_of,
    rows_in,
    select_subset,
    size_of,
)
from foundation.data.shards.tar_index import DamagedShardError, TarShard, open_shard
from foundation.errors import ShardError, SignalError
from foundation.json_file import parse_json, without_collection
from foundation.redaction import published
from foundation.signal import Signal, decode

OPEN_SHARDS = 48
STAT_THREADS, STAT_FILES = 16, 256  # a network file system takes a millisecond to say how large a file is


class Corpus:
    """Random access to the samples of a part, in shard order.

    Args:
        cache: as for `open_shard`.

    Attributes:
        shards: the shards of the part, and which samples of each are in it.
        counts: selected samples of every shard.

    Raises:
        ShardError: no such directory, split or part; only one of split and part is given (test sessions would be
            read); or there is less in the part than requested.
    """

    def __init__(self, part: SamplesSection, cache: ShardCache | None = None) -> None:
        self.cache = cache
        self.directory, self.where = part.shards, published(part.shards)
        manifest = self._manifest = Manifest.load(part.shards)
        check_files(part.shards, manifest)
        with without_collection():
            self.shards = select_part(manifest, part.split, part.part)
        self._entries = {shard.file: shard for shard in manifest.shards}
        self._open = lru_cache(maxsize=OPEN_SHARDS)(self._opened)  # by file: a shard behind a URL is fetched once
        self._rows = lru_cache(maxsize=OPEN_SHARDS)(lambda shard: rows_in(self.shards[shard][1]))
        self._verified = _Stamps(list(self._entries))
        self._shapes_found: dict[str, list[Run]] = {}
        if part.kinds is not None:
            self._keep_kinds(part.kinds, list(manifest.summary.kinds))
        if part.is_subset:
            self._rows.cache_clear()
            with without_collection():
                self.shards = select_subset(self.shards, part.sessions, part.samples, self.where)
        self.counts = [size_of(ranges) for _, ranges in self.shards]

    @property
    def sessions(self) -> dict[str, int]:
        """Selected samples of every session."""
        counts: Counter[str] = Counter()
        for shard, ranges in self.shards:
            for session, first, end in pieces_of(shard, ranges):
                counts[session] += end - first
        return dict(counts)

    def read(self, shard: int, index: int, *, clean: bool = True) -> Signal:
        """The `index`-th selected sample of a shard; `clean` as for `foundation.signal.decode`.

        Raises:
            ShardError: the shard is missing or damaged, or the sample cannot be decoded.
        """
        where, members = self.members(shard, index)
        try:
            return decode(members, where, clean=clean)
        except SignalError as error:
            raise ShardError(f"{where}: {error}") from error

    def tokens(self, pairs: np.ndarray, spec: TokenSpec) -> np.ndarray:
        """Tokens int64 [n] of samples int [n, 2] (shard, selected sample): by the manifest, or where it is that of an
        earlier version by the headers of the arrays, which are read once for a whole shard.

        Raises:
            ShardError: a shard whose headers are read is missing or damaged.
        """
        shards, samples = pairs[:, 0], pairs[:, 1]
        present = np.flatnonzero(np.bincount(shards))
        counts = [token_counts(self._shapes(shard), spec)[self._rows(shard)] for shard in present.tolist()]
        first = np.zeros(len(self.shards), np.int64)
        first[present] = np.cumsum([0, *(len(own) for own in counts[:-1])])
        return np.asarray(np.concatenate(counts)[first[shards] + samples])

    def stated_hashes(self) -> np.ndarray | None:
        """Content hashes uint64 [n] of the selected samples in stored order, as the build wrote them; None if it did
        not, or the shards are behind a URL.

        Raises:
            ShardError: they are not what the manifest says.
        """
        stated = None if is_url(self.directory) else load_stated(self.directory, self._manifest)
        if stated is None:
            return None
        begins = dict(
            zip(self._entries, accumulate((e.count for e in self._entries.values()), initial=0), strict=False)
        )
        out, at = np.empty(sum(self.counts), np.uint64), 0
        for shard, ranges in self.shards:
            begin = begins[shard.file]
            for first, end in ranges.tolist():
                out[at : at + end - first] = stated[begin + first : begin + end]
                at += end - first
        return out

    def _shapes(self, shard: int) -> list[Run]:
        """Runs of the shapes of all samples of a shard file."""
        entry = self.shards[shard][0]
        if entry.shapes:
            return entry.shapes
        if entry.file not in self._shapes_found:
            self._shapes_found[entry.file] = shapes_in(self._tar(entry.file))
        return self._shapes_found[entry.file]

    def members(self, shard: int, index: int) -> tuple[str, Mapping[str, bytes]]:
        """Shard and key of a sample, for errors, and its members as stored.

        Raises:
            ShardError: the shard is missing or damaged.
        """
        tar, at = self._at(shard, index)
        key, members = tar[at]
        return f"{tar.where}:{key}", members

    def _at(self, shard: int, index: int) -> tuple[TarShard, int]:
        return self._tar(self.shards[shard][0].file), int(self._rows(shard)[index])

    def _tar(self, file: str) -> TarShard:
        tar = self._open(file)
        if tar.has_changed:
            self._open.cache_clear()
            tar = self._open(file)
        return tar

    def __iter__(self) -> Iterator[Signal]:
        for shard, count in enumerate(self.counts):
            for index in range(count):
                yield self.read(shard, index)

    def _keep_kinds(self, kinds: Sequence[str], known: Sequence[str]) -> None:
        """Keep samples of these kinds. The manifest has totals only, so that the metadata of every sample is read."""
        kept = []
        for number, (shard, _) in enumerate(self.shards):
            rows = self._rows(number)
            own = [self._kind(number, index) in kinds for index in range(len(rows))]
            kept.append((shard, packed(rows[np.array(own, bool)])))
        self.shards = [(shard, ranges) for shard, ranges in kept if len(ranges)]
        self._rows.cache_clear()
        if not self.shards:
            raise ShardError(f"{self.where}: no sample is of kind {', '.join(kinds)}; its kinds: {', '.join(known)}.")

    def _kind(self, shard: int, index: int) -> str:
        where, members = self.members(shard, index)
        try:
            return str(parse_json(members["meta.json"], finite=False)["kind"])
        except (KeyError, ValueError, TypeError) as error:
            raise ShardError(f"{where}: its kind cannot be read ({error}); run 'wfm shards verify'.") from error

    def _opened(self, file: str) -> TarShard:
        try:
            tar = open_shard(self.directory, self._entries[file], self._verified[file], self.cache)
        except DamagedShardError as error:
            raise DamagedShardError(f"{error} ({advice_on_damage(self.directory)}).") from error
        self._verified[file] = tar.stamp
        return tar


class _Stamps:
    """Stamp of each shard file when it was last compared with the manifest, 0 before; shared with forked workers."""

    def __init__(self, files: Sequence[str]) -> None:
        self.place = {file: place for place, file in enumerate(files)}
        self.stamps = memoryview(mmap.mmap(-1, 8 * max(1, len(files)))).cast("Q")

    def __getitem__(self, file: str) -> int:
        return self.stamps[self.place[file]]

    def __setitem__(self, file: str, stamp: int) -> None:
        self.stamps[self.place[file]] = stamp


def read_part(directory: str | Path, split: str | None = None, part: str | Sequence[str] | None = None) -> list[Signal]:
    """All signals of a split's part (or of the whole directory), in shard order, in memory.

    Raises:
        ShardError: as `Corpus`.
    """
    return list(Corpus(SamplesSection(shards=directory, split=split, part=part)))


def advice_on_damage(directory: str | Path) -> str:
    """The end of an error sentence about a damaged shard."""
    return "upload it again" if is_url(directory) else f"run 'wfm shards verify {local_path(str(directory))}'"


def check_files(directory: str | Path, manifest: Manifest) -> None:
    """Compare the sizes of local shards with the manifest, before memory is taken for the samples that it claims.

    Raises:
        ShardError: a shard is missing, or of another size.
    """
    if is_url(directory):
        return
    folder = local_path(str(directory))
    paths = [f"{folder}/{shard.file}" for shard in manifest.shards]
    some = [paths[first : first + STAT_FILES] for first in range(0, len(paths), STAT_FILES)]
    with ThreadPoolExecutor(STAT_THREADS) as threads:
        sizes = chain.from_iterable(threads.map(lambda each: list(map(_file_size, each)), some))
    for shard, size in zip(manifest.shards, sizes, strict=True):
        if size != shard.bytes:
            what = "is missing" if size is None else f"has {size} bytes where the manifest says {shard.bytes}"
            raise DamagedShardError(
                f"{directory}: shard {shard.file} of the manifest {what}; "
                f"restore it or rebuild, then {advice_on_damage(directory)}."
            )


def _file_size(path: str) -> int | None:
    """Bytes of a regular file; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116  # of a Path takes twice as long
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def select_part(manifest: Manifest, split: str | None, part: str | Sequence[str] | None) -> Selection:
    """The samples of one part of a split, or of several together; of all sessions where both are None.

    Raises:
        ShardError: no such split or part, only one of the two is given, or the split leaks or names a session that has
            no samples.
    """
    if (split is None) != (part is None):
        raise ShardError(f"{manifest.name}: split is {split!r} but part is {part!r}; give both, or neither for all.")
    wanted = None if split is None or part is None else set(manifest.sessions(split, part))
    if split is not None:
        problems = split_problems({split: manifest.splits[split]}, count_sessions(manifest.shards))
        if problems:
            raise ShardError(f"{manifest.name}: {problems[0]}")
    found = [(shard, _ranges(shard, wanted)) for shard in manifest.shards]
    return [(shard, ranges) for shard, ranges in found if len(ranges)]


def _ranges(shard: Shard, wanted: set[str] | None) -> Ranges:
    """The samples of these sessions, which are stored in the order of the manifest."""
    ends = accumulate(shard.sessions.values())
    return ranges_of(
        [
            (end - count, end)
            for (session, count), end in zip(shard.sessions.items(), ends, strict=True)
            if wanted is None or session in wanted
        ]
    )
