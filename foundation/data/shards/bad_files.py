"""Raw files that cannot be read: left out of a build up to a limit, and named in its manifest."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from foundation.data.shards.manifest import LeftOut
from foundation.data.shards.spec import Dataset, DefinitionError, FileSamples, Sample, Splits, files_of
from foundation.errors import MissingExtraError, ShardError, SignalError, WfmError

#: Without a limit given: one in a hundred files, and ten at least.
SHARE, LEAST = 0.01, 10
_MOST_TEXT = 500


class UnreadableError(Exception):
    """A raw file that cannot be read, as it is written into the manifest."""

    def __init__(self, left_out: LeftOut) -> None:
        super().__init__(left_out.file)
        self.left_out = left_out


def limit(files: int, max_bad: int | float | None) -> int:
    """How many of so many files may be left out.

    Args:
        max_bad: a number of files, or a share of them as a float; None: 1 %, and 10 at least.
    """
    if max_bad is None:
        return max(LEAST, math.ceil(SHARE * files))
    return max_bad if isinstance(max_bad, int) else math.floor(max_bad * files)


def refuse_more(name: str, left_out: Sequence[LeftOut], files: int, max_bad: int | float | None) -> None:
    """Stop a build that leaves out more files than allowed.

    Raises:
        ShardError: it does; names the first.
    """
    allowed = limit(files, max_bad)
    if len(left_out) > allowed:
        first = left_out[0]
        raise ShardError(
            f"{name}: {len(left_out)} of {files} raw files cannot be read, and --max-bad allows {allowed}; the first "
            f"is {first.file}: {first.reason}; repair them, take them out of the folder, or raise --max-bad."
        )


def root_of(dataset: Dataset) -> Path | None:
    """The folder below which all raw files of a data set lie; None where its pieces name no files."""
    folders = {path.parent for piece in dataset.pieces for path, _ in files_of(piece) if path is not None}
    return Path(os.path.commonpath(folders)) if folders else None


def read_file(name: str, entry: FileSamples, root: Path | None) -> Iterator[Sample]:
    """The samples of one raw file.

    Raises:
        UnreadableError: it is a pipe or device, or reading it fails, in whatever way.
        ShardError: reading fails, and there is no file that could be left out.
        DefinitionError, MissingExtraError, MemoryError: as the data set raises them: no file is to blame.
    """
    path, read = entry
    last = "the first of its piece"
    try:
        if path is not None and path.exists() and not (path.is_file() or path.is_dir()):
            raise ShardError(f"{path}: is a pipe or a device; expected a file")
        for key, signal in read():
            last = f"the one after {key}"
            yield key, signal
    except (DefinitionError, MissingExtraError, MemoryError):
        raise
    except Exception as error:  # of readers, of numpy, and of whatever else a data set uses
        if path is None and isinstance(error, SignalError):
            raise ShardError(f"{name}: a sample, {last}: {error}") from error
        if path is None or root is None:
            raise
        raise UnreadableError(_entry(path, root, error)) from error


def _entry(path: Path, root: Path, error: Exception) -> LeftOut:
    """Without the place of the raw folder: the same files give the same manifest wherever they lie."""
    file = path.relative_to(root).as_posix()
    text = str(error) if isinstance(error, WfmError) else f"{type(error).__name__}: {error}"
    reason = text.replace(f"{root}{os.sep}", "").removeprefix(f"{file}: ").rstrip(".")
    return LeftOut(file=file, reason=reason[:_MOST_TEXT])


def without_missing(
    name: str, splits: Splits, sessions: Mapping[str, int], left_out: Sequence[LeftOut]
) -> tuple[Splits, list[str]]:
    """Splits without the sessions that have no samples because their files were left out, and those sessions.

    Raises:
        ShardError: a part of a split has nothing left.
    """
    kept = {
        split: {part: [each for each in members if each in sessions] for part, members in parts.items()}
        for split, parts in splits.items()
    }
    for split, parts in kept.items():
        for part, members in parts.items():
            if splits[split][part] and not members:
                raise ShardError(
                    f"{name}: nothing is left of part {part!r} of split {split!r}, since {len(left_out)} files were "
                    f"left out, the first {left_out[0].file}: {left_out[0].reason}; repair the raw files."
                )
    named = (each for parts in splits.values() for members in parts.values() for each in members)
    return kept, [each for each in dict.fromkeys(named) if each not in sessions]


def sentences(left_out: Iterable[LeftOut], most: int = 5) -> Iterator[str]:
    """A sentence for each file, of which only the first are named one by one."""
    found = list(left_out)
    yield from (f"left out {each.file}: {each.reason}." for each in found[:most])
    if len(found) > most:
        yield f"left out {len(found) - most} files more; the manifest names all, under left_out."
