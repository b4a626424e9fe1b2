"""Bring the manifest of a shard directory that an earlier version built up to this one; the shards stay as they are."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from foundation.data.shards.build_plan import build_lock
from foundation.data.shards.journal import JOURNAL_HASHES
from foundation.data.shards.manifest import SCHEMA_VERSION, Manifest, Shard
from foundation.data.shards.shapes import UNKNOWN, Run, shapes_in
from foundation.data.shards.stated_hashes import content_hash, is_stated, save_stated
from foundation.data.shards.tar_index import open_shard
from foundation.data.shards.worker_pool import in_order
from foundation.errors import ShardError
from foundation.progress import StepProgress


def upgrade(directory: Path, *, workers: int = 1) -> bool:
    """Write the manifest anew as a build by this version would: with the shapes and content hashes of all samples.

    Returns:
        Whether there was something to add.

    Raises:
        ShardError: there is no readable manifest, or a shard is not what it says or has a sample without a shape.
        WfmError: another process builds or upgrades the directory.
    """
    with build_lock(directory):
        manifest = Manifest.load(directory)
        if all(shard.shapes for shard in manifest.shards) and is_stated(directory, manifest):
            return False
        shards = [(directory, shard) for shard in manifest.shards]
        hashes, complete = directory / JOURNAL_HASHES, list[Shard]()
        try:
            with (
                StepProgress(transient=True) as progress,
                closing(in_order(_read, shards, workers)) as found,
                hashes.open("wb") as file,
            ):
                tracked = progress.track(found, total=len(shards), description=f"upgrade {manifest.name}")
                for shard, (shapes, values) in zip(manifest.shards, tracked, strict=True):
                    complete.append(shard.model_copy(update={"shapes": shapes}))
                    file.write(values)
            entry = save_stated(directory, hashes, complete)
        finally:
            hashes.unlink(missing_ok=True)
        changed = {"schema_version": SCHEMA_VERSION, "shards": complete, "content_hashes": entry}
        manifest.model_copy(update=changed).save(directory)
    return True


def _read(item: tuple[Path, Shard]) -> tuple[list[Run], bytes]:
    """Shapes of the samples of a shard, and their hashes, 8 bytes each."""
    tar = open_shard(*item)
    runs = shapes_in(tar)
    if any(run[1:] == UNKNOWN for run in runs):
        raise ShardError(f"{tar.where}: holds a sample without a readable array; run 'wfm shards verify'.")
    return runs, np.array([content_hash(tar[i][1]["signal.npy"]) for i in range(len(tar))], "<u8").tobytes()
