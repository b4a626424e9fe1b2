"""Definition of a data set: its provenance, its tasks, its samples and its splits.

A data set is one module in the folder `shards/`, whose `build(...)` returns a `Dataset`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from foundation.errors import ShardError
from foundation.signal import Signal

TaskType = Literal["classification", "regression"]

#: split name -> part name -> sessions
Splits = dict[str, dict[str, list[str]]]

Parameter = str | int | float | bool

#: key and signal
Sample = tuple[str, Signal]

#: One unit of what may be left out: a raw file (None: nothing may be) and the samples of it.
FileSamples = tuple[Path | None, Callable[[], Iterable[Sample]]]


class DefinitionError(ShardError):
    """The definition of a data set is wrong, not one of its files: no file is left out for it."""


@dataclass(frozen=True)
class FilePiece:
    """A piece of several raw files, each with its samples: one that cannot be read is left out, the others stay."""

    files: tuple[FileSamples, ...]

    def __call__(self) -> Iterator[Sample]:
        for _, read in self.files:
            yield from read()


def files_of(piece: Callable[[], Iterator[Sample]]) -> tuple[FileSamples, ...]:
    """The raw files of a piece: those of a `FilePiece`, or the path among the arguments of a `functools.partial`."""
    if isinstance(piece, FilePiece):
        return piece.files
    arguments = (*piece.args, *piece.keywords.values()) if isinstance(piece, partial) else ()
    return ((next((each for each in arguments if isinstance(each, Path)), None), piece),)


@dataclass(frozen=True)
class Dataset:
    """One data set, bound to its raw files or its parameters.

    Attributes:
        name: letters, digits and '-'; names the shard files.
        tasks: label name -> how it is scored. A sample may carry these labels and no others.
        pieces: each callable yields the samples of a piece of the set, in the same order at every call. A piece is the
            unit of work of one worker: a file or a few sessions, up to some hundred megabytes when written. It must
            pickle: a `functools.partial` of a function of a module. A file that cannot be read is left out of the build
            where the piece is a `FilePiece`, or a `partial` with the path among its arguments. Keys are [A-Za-z0-9_-]+
            and increase lexicographically from piece to piece too; the samples of one session follow each other.
        splits: split name -> part name -> sessions.
        parameters: what distinguishes one build from another (a seed, a count, a fingerprint of the raw files).
        version: raise it when the same parameters give different samples than before.
    """

    name: str
    title: str
    licence: str
    citation: str
    homepage: str
    tasks: Mapping[str, TaskType]
    pieces: Sequence[Callable[[], Iterator[Sample]]]
    splits: Callable[[], Splits]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    version: int = 1

    def samples(self) -> Iterator[Sample]:
        """All samples, read in this process."""
        for piece in self.pieces:
            yield from piece()


def raw_files(raw: Path, pattern: str, *, name: str, homepage: str) -> list[Path]:
    """The files of a data set under `raw` that match a glob pattern, sorted.

    Raises:
        ShardError: there are none; says where to get them.
    """
    files = sorted(raw.glob(pattern))
    if not files:
        raise ShardError(
            f"{name}: no {pattern} under {raw}; download the set from {homepage} and pass its folder as raw."
        )
    return files


def fingerprint(raw: Path, files: Iterable[Path]) -> str:
    """16 hexadecimal digits that change with the names and sizes (not the content: that may be huge) of raw files.

    Raises:
        ShardError: a file is missing, or a link that leads nowhere.
    """
    digest = hashlib.sha256()
    for path in sorted(files):
        try:
            size = path.stat().st_size
        except OSError as error:
            raise ShardError(f"{path}: {error.strerror}; restore the file, or take it out of the folder.") from error
        digest.update(f"{path.relative_to(raw).as_posix()}\0{size}\n".encode())
    return digest.hexdigest()[:16]


def split_problems(splits: Splits, sessions: Iterable[str] | None = None) -> list[str]:
    """Problems of splits, one sentence each: a session that leaks, is listed twice or does not exist.

    Args:
        sessions: sessions that have samples; None skips the check for missing ones.
    """
    known = None if sessions is None else set(sessions)
    problems: list[str] = []
    for split, parts in splits.items():
        seen: dict[str, str] = {}
        for part, members in parts.items():
            for session in members:
                if session in seen and seen[session] != part:
                    problems.append(f"split {split}: session {session} leaks: it is in {seen[session]} and in {part}.")
                elif session in seen:
                    problems.append(f"split {split}: session {session} is listed twice in {part}.")
                elif known is not None and session not in known:
                    problems.append(
                        f"split {split}: session {session} of {part} has no samples in any shard; name it as its "
                        "samples do, or leave it out of the splits if it gave none (too short for a window?)."
                    )
                seen[session] = part
    return problems
