"""Released models that are part of the package, by name; and which sources are folders, and which repositories."""

from __future__ import annotations

import re
from pathlib import Path

from foundation.errors import CheckpointError

FOLDER = Path(__file__).parent / "checkpoints"

#: Longest source that a message repeats.
SHOWN = 200


def released() -> list[str]:
    """Names of the released models, such as `wfm-small`."""
    return sorted(path.name for path in FOLDER.iterdir() if (path / "config.json").is_file())


def resolve(source: str | Path) -> str | Path:
    """The folder of a released name; a folder or an org/name unchanged. An existing folder takes precedence.

    An org/name below a folder that exists is a path with a mistake in it, which no Hub is asked for.

    Raises:
        CheckpointError: it is none of these.
    """
    shown = repr(str(source)[:SHOWN])[1:-1]
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return path
        if path.exists():
            raise CheckpointError(f"{shown}: is a file; give the folder it lies in, or a .ckpt file of 'wfm pretrain'.")
        below = isinstance(source, Path) or path.parent.is_dir()
    except (OSError, ValueError, RuntimeError):  # a name that is too long, holds a null, or ~ of an unknown user
        raise CheckpointError(f"{shown}: no path and no name of a model.") from None
    if str(source) in released():
        return FOLDER / str(source)
    if below or not is_repository(str(source)):
        raise CheckpointError(
            f"{shown}: no such folder; give an exported folder, a .ckpt file, an org/name, "
            f"or one that comes with the package: {', '.join(released())}."
        )
    return str(source)


def is_repository(source: str) -> bool:
    """Whether this reads as org/name."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", source, re.ASCII) is not None


def name_of(source: str | Path) -> str:
    """The released name of a folder of this package, which other installations know too; others as they were given."""
    path = Path(source)
    return path.name if path.parent == FOLDER and path.name in released() else str(source)
