"""Manifests and tars that a test edits."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def edit_manifest(directory: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change `manifest.json` as a script would, without this project's checks."""
    path = directory / "manifest.json"
    raw = json.loads(path.read_text())
    edit(raw)
    path.write_text(json.dumps(raw))


def reseal(directory: Path) -> None:
    """Give the manifest the sizes and hashes that the shards have now."""

    def update(raw: dict[str, Any]) -> None:
        for shard in raw["shards"]:
            data = (directory / shard["file"]).read_bytes()
            shard.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    edit_manifest(directory, update)


def rewrite_tar(path: Path, edit: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]) -> None:
    """Change the members (name, content) of a tar."""
    with tarfile.open(path) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    with tarfile.open(path, "w") as tar:
        for name, data in edit(members):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
