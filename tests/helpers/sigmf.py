"""Recordings and archives of SigMF."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np

SAMPLES = (np.arange(12) - 1j * np.arange(12)).astype(np.complex64)


def meta_of(
    captures: list[dict] | None = None, annotations: list[dict] | None = None, **header: object
) -> dict[str, object]:
    fields: dict[str, object] = {"datatype": "cf32_le", "version": "1.2.0", "sample_rate": 1e6, **header}
    return {
        "global": {f"core:{name}": value for name, value in fields.items() if value is not None},
        "captures": [core(entry) for entry in captures or [{"sample_start": 0, "frequency": 9e8}]],
        "annotations": [core(entry) for entry in annotations or []],
    }


def written(folder: Path, meta: object, data: bytes = SAMPLES.tobytes(), name: str = "a") -> Path:
    (folder / f"{name}.sigmf-data").write_bytes(data)
    path = folder / f"{name}.sigmf-meta"
    path.write_bytes(meta if isinstance(meta, bytes) else json.dumps(meta).encode())
    return path


def archive(path: Path, **contents: bytes) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def core(entry: dict) -> dict:
    return {f"core:{name}": value for name, value in entry.items()}
