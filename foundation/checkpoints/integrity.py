"""Integrity checks of training checkpoints, without importing torch: `wfm runs` checks hundreds of them.

A torch file is a zip archive with its directory at the end and a CRC of every tensor, which torch does not check when
loading. A ZeRO directory holds one such file per rank, and a list of them.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from foundation.checkpoints.layout import numbered
from foundation.json_file import load_json

LIST = "files.json"
_ARCHIVES = (".pt", ".ckpt")


def integrity_problem(path: Path, thorough: bool = True) -> str | None:
    """What is wrong with a checkpoint, in one sentence; None if it is intact.

    Args:
        thorough: check the CRC of all data; otherwise only that every file exists and is not truncated.
    """
    files = {str(file.relative_to(path)): file for file in files_of(path)} if path.is_dir() else {path.name: path}
    listed = path / LIST
    try:
        missing = sorted(set(load_json(listed)) - set(files)) if listed.exists() else []
    except (ValueError, OSError, TypeError):
        return f"{listed}: is damaged"
    if missing:
        return f"{path}: lacks {missing[0]}"
    if path.is_dir() and not any(name.endswith("model_states.pt") for name in files):
        return f"{path}: holds no *model_states.pt"
    archives = (file for file in files.values() if file.suffix in _ARCHIVES)
    return next((wrong for file in archives if (wrong := _damaged(file, thorough))), None)


def files_of(path: Path) -> list[Path]:
    """The files of a checkpoint: itself, or those of a ZeRO directory without their list."""
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    return [file for file in found if file.is_file() and file.name != LIST]


def _damaged(file: Path, thorough: bool) -> str | None:
    try:
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip() if thorough else None
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        return f"{file}: is truncated ({error})"
    return None if bad is None else f"{file}: is damaged in {bad}"


def newest(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest intact checkpoint (None if there is none), and what is wrong with every newer one."""
    problems: list[str] = []
    for path in numbered(folder):
        wrong = integrity_problem(path)
        if wrong is None:
            return path, problems
        problems.append(wrong)
    return None, problems
