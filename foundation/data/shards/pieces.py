"""Pieces of a data set on disk: samples that one worker has read and encoded, to be joined into shards.

A piece is `NNNNNN.blocks`, the members of its samples as they will stand in the shards (tar blocks without an end
mark), and `NNNNNN.json`, its index. The index is written last: a piece with an index is complete.
"""

from __future__ import annotations

import os
import re
import tarfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from foundation.data.shards.bad_files import UnreadableError, read_file
from foundation.data.shards.manifest import LeftOut, sha256_of
from foundation.data.shards.plausible import check_plausible
from foundation.data.shards.spec import Sample, TaskType, files_of
from foundation.data.shards.stated_hashes import content_hash
from foundation.data.shards.summary import Summary
from foundation.errors import ShardError
from foundation.files import write_atomically
from foundation.signal import Signal, encode

_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")  # one dot-free tar name of at most 100 characters with its extension


class PieceSample(NamedTuple):
    """One sample of a piece: its key, its session, its bytes as tar blocks, its shape, and its content hash."""

    key: str
    session: str
    bytes: int
    shape: tuple[int, int, int]
    content: int


class PieceIndex(BaseModel):
    """Index of a piece.

    Attributes:
        build: the build it belongs to, see `Plan.build`.
        sha256: hash of the blocks.
        samples: what the blocks hold, in order.
        warnings: number of warnings while reading; `warning` is the first.
        left_out: raw files that cannot be read, which gave no sample.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    build: str
    sha256: str
    samples: list[PieceSample]
    summary: Summary
    warnings: int
    warning: str
    left_out: list[LeftOut] = []


@dataclass(frozen=True)
class PieceFile:
    """The files of piece `number` of a build in `folder`, whether or not they exist yet."""

    folder: Path
    number: int

    @property
    def blocks(self) -> Path:
        return self.folder / f"{self.number:06d}.blocks"

    @property
    def path(self) -> Path:
        """File of the index."""
        return self.folder / f"{self.number:06d}.json"

    def load(self) -> PieceIndex | None:
        """The index of a complete and undamaged piece, else None."""
        try:
            index = PieceIndex.model_validate_json(self.path.read_bytes())
            return index if sha256_of(self.blocks) == index.sha256 else None
        except (OSError, ValidationError):
            return None

    def remove(self) -> None:
        """Delete the index first: blocks without an index are ignored."""
        self.path.unlink(missing_ok=True)
        self.blocks.unlink(missing_ok=True)


@dataclass(frozen=True)
class Job:
    """Arguments of `make_piece`: one piece to read, whose raw files lie below `root`."""

    file: PieceFile
    read: Callable[[], Iterator[Sample]]
    name: str
    tasks: Mapping[str, TaskType]
    build: str
    root: Path | None = None


def make_piece(job: Job) -> PieceIndex:
    """Read, encode and store a piece, unless it is complete already and nothing was left out of it.

    Raises:
        ShardError: a bad key, no session, a label that is not declared, or an invalid Signal.
    """
    present = job.file.load()
    if present is not None and present.build == job.build and not present.left_out:
        return present
    job.file.folder.mkdir(parents=True, exist_ok=True)
    samples: list[PieceSample] = []
    left_out: list[LeftOut] = []
    summary = Summary()
    temporary = job.file.blocks.with_suffix(f".{os.getpid()}.partial")
    with warnings.catch_warnings(record=True) as caught, temporary.open("wb") as file:
        warnings.simplefilter("always")
        for entry in files_of(job.read):
            start, before, first = file.tell(), summary.model_copy(deep=True), len(samples)
            try:
                for key, signal in read_file(job.name, entry, job.root):
                    _check(f"{job.name}: sample {key}", key, signal)
                    summary.add(signal, job.tasks, f"{job.name}: {key}")
                    members = encode(signal)
                    size, content = _write(file, key, members), content_hash(members["signal.npy"])
                    samples.append(PieceSample(key, signal.session, size, signal.values.shape, content))
            except UnreadableError as error:
                left_out.append(error.left_out)
                summary = before
                del samples[first:]
                file.seek(start)
                file.truncate()
    index = PieceIndex(
        build=job.build,
        sha256=sha256_of(temporary),
        samples=samples,
        summary=summary,
        warnings=len(caught),
        warning=str(caught[0].message) if caught else "",
        left_out=left_out,
    )
    temporary.replace(job.file.blocks)
    write_atomically(job.file.path, index.model_dump_json())
    return index


def _check(where: str, key: str, signal: Signal) -> None:
    if not _KEY.fullmatch(key):
        raise ShardError(f"{where}: a key has 1 to 80 letters, digits, '-' or '_'.")
    if not signal.session:
        raise ShardError(f"{where}: its session is empty; name the recording, room or day that no split may cut.")
    check_plausible(signal, where)


def _write(file: BinaryIO, key: str, members: Mapping[str, bytes]) -> int:
    """Write the tar blocks of one sample; returns their size in bytes."""
    start = file.tell()
    for extension, data in members.items():
        member = tarfile.TarInfo(f"{key}.{extension}")  # mtime, uid and gid 0, mode 644: equal bytes every time
        member.size = len(data)
        file.write(member.tobuf(tarfile.USTAR_FORMAT))
        file.write(data)
        file.write(bytes(-len(data) % tarfile.BLOCKSIZE))
    return file.tell() - start
