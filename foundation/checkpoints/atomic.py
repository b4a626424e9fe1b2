"""Atomic writes of checkpoints: write to a partial name, fsync, rename.

A ZeRO directory, which holds one file per rank, also gets a list of its files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foundation.checkpoints.integrity import LIST, files_of
from foundation.checkpoints.layout import PARTIAL
from foundation.errors import CheckpointError


@contextmanager
def renamed(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it is renamed to `path` if the block ends without an error.

    Raises:
        CheckpointError: it cannot be written, for example on a full disk; an existing file is unchanged.
    """
    partial = path.with_name(path.name + PARTIAL)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            force(partial)
            partial.replace(path)
            force(path.parent)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Convert errors of writing a checkpoint to a CheckpointError; torch reports system errors as RuntimeError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        free = os.statvfs(next(folder for folder in path.parents if folder.exists()))
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path}: cannot be written ({reason}); {free.f_bavail * free.f_frsize / 1e9:.3g} GB are free there. "
            "Earlier checkpoints are unchanged: free space or lower train.keep_last, then run the same command again."
        ) from error


def force(path: Path) -> None:
    """fsync a file, or the entries of a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def list_files(folder: Path) -> None:
    """Write the list of a directory's files and sizes, by which a missing file is detected later; flush it and the
    entries of the folders."""
    files = files_of(folder)
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    (folder / LIST).write_text(json.dumps(sizes, indent=1, sort_keys=True))
    for path in (folder / LIST, *{file.parent for file in files}, folder):
        force(path)
