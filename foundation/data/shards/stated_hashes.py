"""Content hashes that a build writes beside its shards: `content_hashes.npy`, uint64 [n], in stored order.

A run that starts on a billion samples reads 8 bytes of each instead of hashing all of it. The manifest holds the hash
of the file, and which shards it is of: where others have taken their place, it is not believed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from foundation.config.address import local_path
from foundation.data.shards.manifest import HashFile, Manifest, Shard, fingerprint_of, sha256_of
from foundation.errors import ShardError

FILE_NAME = "content_hashes.npy"


def content_hash(array: bytes) -> int:
    """Hash of the encoded array of a sample."""
    return int.from_bytes(hashlib.sha256(array).digest()[:8], "little")


def save_stated(directory: Path, hashes: Path, shards: Sequence[Shard]) -> HashFile:
    """Write the file of a directory from one of plain hashes, 8 bytes each, and give its entry in the manifest."""
    path = directory / FILE_NAME
    temporary = path.with_name(f".{FILE_NAME}.{uuid.uuid4().hex}.partial")
    shape = (sum(shard.count for shard in shards),)
    try:
        with temporary.open("wb") as file, hashes.open("rb") as source:
            np.lib.format.write_array_header_1_0(file, {"descr": "<u8", "fortran_order": False, "shape": shape})
            shutil.copyfileobj(source, file, 2**20)
            file.flush()
            os.fsync(file.fileno())
        entry = HashFile(sha256=sha256_of(temporary), fingerprint=fingerprint_of(shards))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return entry


def is_stated(directory: str | Path, manifest: Manifest) -> bool:
    """Whether a local directory has hashes of the shards that it holds now."""
    entry = manifest.content_hashes
    there = Path(local_path(str(directory)), FILE_NAME).is_file()
    return there and entry is not None and entry.fingerprint == manifest.fingerprint()


def load_stated(directory: str | Path, manifest: Manifest) -> np.ndarray | None:
    """The hashes of all samples, uint64 [n] in stored order, as a read-only map of the file; None: there are none.

    Raises:
        ShardError: the file is not what the manifest says.
    """
    if not is_stated(directory, manifest):
        return None
    path = Path(local_path(str(directory)), FILE_NAME)
    try:
        assert manifest.content_hashes is not None
        if sha256_of(path) != manifest.content_hashes.sha256:
            raise ValueError("its bytes are not those that the manifest lists (sha256)")
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if found.dtype != np.uint64 or found.shape != (sum(shard.count for shard in manifest.shards),):
            raise ValueError(f"it holds {found.dtype} {found.shape}")
    except (OSError, ValueError) as error:
        raise ShardError(f"{path}: {error}; copy it again, or delete it: the samples are then hashed anew.") from error
    return np.asarray(found)
