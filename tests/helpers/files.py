"""Files made of bytes."""

from __future__ import annotations

from pathlib import Path


def written(path: Path, *parts: bytes) -> Path:
    """Write these bytes one after the other; returns the path."""
    path.write_bytes(b"".join(parts))
    return path
