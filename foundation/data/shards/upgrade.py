"""Bring the manifest of a shard directory that an earlier version built up to this one; the shards stay as they are."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from foundation.data.shards.build_plan import build_lock
from foundation.data.shards.manifest import SCHEMA_VERSION, Manifest, Shard
from foundation.data.shards.shapes import UNKNOWN, Run, shapes_in
from foundation.data.shards.tar_index import open_shard
from foundation.data.shards.worker_pool import in_order
from foundation.errors import ShardError
from foundation.progress import StepProgress


def upgrade(directory: Path, *, workers: int = 1) -> bool:
    """Write the manifest anew as a build by this version would: with the shapes of all samples.

    Returns:
        Whether there was something to add.

    Raises:
        ShardError: there is no readable manifest, or a shard is not what it says or has a sample without a shape.
        WfmError: another process builds or upgrades the directory.
    """
    with build_lock(directory):
        manifest = Manifest.load(directory)
        if all(shard.shapes for shard in manifest.shards):
            return False
        shards = [(directory, shard) for shard in manifest.shards]
        with StepProgress(transient=True) as progress, closing(in_order(_shapes, shards, workers)) as found:
            runs = list(progress.track(found, total=len(shards), description=f"upgrade {manifest.name}"))
        complete = [
            shard.model_copy(update={"shapes": shapes}) for shard, shapes in zip(manifest.shards, runs, strict=True)
        ]
        manifest.model_copy(update={"schema_version": SCHEMA_VERSION, "shards": complete}).save(directory)
    return True


def _shapes(item: tuple[Path, Shard]) -> list[Run]:
    tar = open_shard(*item)
    runs = shapes_in(tar)
    if any(run[1:] == UNKNOWN for run in runs):
        raise ShardError(f"{tar.where}: holds a sample without a readable array; run 'wfm shards verify'.")
    return runs
