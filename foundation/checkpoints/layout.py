"""File names of checkpoints in a run directory; imports nothing slow."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = "checkpoints"
FINAL = "final.ckpt"
PARTIAL = ".partial"  # suffix of files and folders that are being written or removed


def run_of(checkpoint: Path) -> Path:
    """The run directory of a checkpoint; relative paths and links are resolved."""
    return checkpoint.resolve().parent.parent


def numbered(folder: Path) -> list[Path]:
    """The checkpoints `step=N.ckpt` in a folder, the newest first."""
    return sorted((path for path in folder.glob("step=*.ckpt") if step_of(path) is not None), key=_order, reverse=True)


def step_of(path: Path) -> int | None:
    """The step in the name of a checkpoint; None if there is none."""
    found = re.fullmatch(r"step=(\d+)\.ckpt", path.name)
    return int(found[1]) if found else None


def _order(path: Path) -> int:
    return step_of(path) or 0
