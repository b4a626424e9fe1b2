"""Writing a checkpoint so that it is there whole or not at all.

It is written beside its place under another name, forced to the disk and renamed. A ZeRO directory, which holds a
file per rank, gets a list of them.
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
    """Where to write what is to stand at `path`; it does once the block has ended well.

    Raises:
        CheckpointError: it cannot be written, as on a full disk; nothing that was there before has changed.
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
            partial.unlink(missing_ok=True)  # half of it only fills the disk


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of writing a checkpoint, in a sentence.

    torch reports what the system refused as a RuntimeError of its own.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        free = os.statvfs(next(folder for folder in path.parents if folder.exists()))
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path}: cannot be written ({reason}); {free.f_bavail * free.f_frsize / 1e9:.3g} GB are free there. "
            "Earlier checkpoints are as they were: make room or lower train.keep_last, then run the same command again."
        ) from error


def force(path: Path) -> None:
    """To the disk, a file or a directory's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def list_files(folder: Path) -> None:
    """Write down what a directory holds, so that a file that is lost later is missed."""
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files_of(folder)}
    (folder / LIST).write_text(json.dumps(sizes, indent=1, sort_keys=True))
