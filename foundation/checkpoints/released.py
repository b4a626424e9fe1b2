"""Released models that are part of the package, by name."""

from __future__ import annotations

from pathlib import Path

from foundation.errors import CheckpointError

FOLDER = Path(__file__).parent


def released() -> list[str]:
    """Names of the released models, such as `wfm-small`."""
    return sorted(path.name for path in FOLDER.iterdir() if (path / "config.json").is_file())


def resolve(source: str | Path) -> str | Path:
    """The folder of a released name; a folder or an org/name unchanged. An existing folder takes precedence.

    Raises:
        CheckpointError: it is none of these.
    """
    if Path(source).is_dir():
        return source
    if str(source) in released():
        return FOLDER / str(source)
    if str(source).count("/") != 1 or str(source).startswith("/"):
        raise CheckpointError(
            f"{source}: no such folder; give an exported folder, a .ckpt file, an org/name, "
            f"or one that comes with the package: {', '.join(released())}."
        )
    return source
