"""Journal of a build, for resuming it: a line of JSON for its plan, and one for every finished shard."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from foundation.data.shards.build_plan import Plan
from foundation.data.shards.manifest import FILE_NAME, LeftOut, Shard, sha256_of
from foundation.data.shards.summary import Summary
from foundation.data.shards.worker_pool import in_order
from foundation.errors import ShardError
from foundation.files import write_atomically

JOURNAL_NAME = ".build.jsonl"
JOURNAL_HASHES = ".build.hashes"


class Position(BaseModel):
    """Where a build resumes.

    Attributes:
        piece, offset: the next sample is number `offset` of that piece. `last_key` is the key before it.
        summary: summary of the pieces before `piece`; `left_out`: the raw files that were left out of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    piece: int = 0
    offset: int = 0
    last_key: str = ""
    summary: Summary = Field(default_factory=Summary)
    left_out: list[LeftOut] = []


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    shard: Shard
    after: Position


class Journal:
    """The journal in `out`; it lists a shard once its file is complete on disk.

    Attributes:
        hashes: file of the content hashes of all samples in the shards, 8 bytes each.
    """

    def __init__(self, plan: Plan, out: Path, lines: list[_Line]) -> None:
        self.plan, self.path, self.hashes = plan, out / JOURNAL_NAME, out / JOURNAL_HASHES
        self.shards = [line.shard for line in lines]
        self.position = lines[-1].after if lines else Position()
        text = "".join(f"{entry.model_dump_json()}\n" for entry in (plan, *lines))
        write_atomically(self.path, text)
        with self.hashes.open("ab") as file:  # those of a shard that was not listed any more are written again
            file.truncate(8 * self.count)

    @classmethod
    def open(cls, plan: Plan, out: Path, workers: int = 1) -> Journal:
        """Open the journal to resume from; a new one if there is none or a listed shard is missing or changed.

        Raises:
            ShardError: it is that of another build, or there are tar files without one.
        """
        path = out / JOURNAL_NAME
        if not path.exists():
            foreign = sorted(file.name for file in out.glob("*.tar"))
            if foreign:
                raise ShardError(
                    f"{out} holds {foreign[0]} but no {FILE_NAME}: choose another directory, or delete this one."
                )
            return cls(plan, out, [])
        try:
            first, *rest = path.read_bytes().splitlines(keepends=True)
            found = Plan.model_validate_json(first)
            lines = [_Line.model_validate_json(line) for line in rest if line.endswith(b"\n")]  # the last may be torn
        except ValueError as error:
            raise ShardError(f"{path}: cannot be read; delete {out} and build again.") from error
        plan.refuse_other(out, "an unfinished build", found.identity)
        files = [out / line.shard.file for line in lines]
        wanted = [line.shard.sha256 for line in lines]
        intact = all(file.is_file() for file in files) and list(in_order(sha256_of, files, workers)) == wanted
        hashes, count = out / JOURNAL_HASHES, sum(line.shard.count for line in lines)
        # An earlier version wrote neither shapes nor hashes.
        intact = intact and all(line.shard.shapes for line in lines)
        intact = intact and hashes.is_file() and hashes.stat().st_size >= 8 * count
        return cls(plan, out, lines if intact else [])

    @property
    def count(self) -> int:
        """Samples in finished shards."""
        return sum(shard.count for shard in self.shards)

    def add(self, shard: Shard, after: Position, hashes: Sequence[int]) -> None:
        """Append a shard and the content hashes of its samples, flushed to disk."""
        self.shards.append(shard)
        self.position = after
        with self.hashes.open("ab") as file:
            file.write(np.array(hashes, "<u8").tobytes())
            file.flush()
            os.fsync(file.fileno())
        with self.path.open("ab") as file:
            file.write(_Line(shard=shard, after=after).model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
