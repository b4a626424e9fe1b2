"""Encoders that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def released() -> list[str]:
    """Names that `checkpoint:` takes without a download, such as `wfm-small`."""
    return sorted(path.name for path in FOLDER.iterdir() if (path / "config.json").is_file())


def resolve(source: str | Path) -> str | Path:
    """The folder of a released name; anything else as it is. A folder of the caller's own has precedence."""
    return FOLDER / str(source) if str(source) in released() and not Path(source).exists() else source
