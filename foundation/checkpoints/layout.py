"""Names in a run directory. Light: `wfm runs` looks at hundreds of them."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = "checkpoints"
FINAL = "final.ckpt"
PARTIAL = ".partial"  # ending of what is being written, or being removed


def run_of(checkpoint: Path) -> Path:
    """The directory of the run in whose `FOLDER` a checkpoint lies, also by a bare name or a link from elsewhere."""
    return checkpoint.resolve().parent.parent


def numbered(folder: Path) -> list[Path]:
    """The checkpoints that carry a step, the newest first."""
    return sorted((path for path in folder.glob("step=*.ckpt") if step_of(path) is not None), key=_order, reverse=True)


def step_of(path: Path) -> int | None:
    """The step in a checkpoint's name."""
    found = re.fullmatch(r"step=(\d+)\.ckpt", path.name)
    return int(found[1]) if found else None


def _order(path: Path) -> int:
    return step_of(path) or 0
