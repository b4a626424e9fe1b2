"""Readers of a stream killed at random moments: python tests/fuzz/kill_stream.py [--kills 50] [--seed 0].

A process reads batches, as one to three ranks with none to two loader workers each, by samples or by tokens, and notes
every sample and, after each step, the position. It is killed (SIGKILL) and started again from the last position, as
other ranks and workers, until it has read some epochs: the samples must be, one by one, those of an undisturbed reader.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from foundation.config import CorpusSection
from foundation.data.loader import Loader
from foundation.data.shards.write import write_shards
from foundation.data.stream import ShardStream
from foundation.data.tokens import Batch
from foundation.datasets import open_dataset
from foundation.files import write_atomically
from foundation.models import WfmConfig

COUNT, TOTAL = 320, 2000  # samples of the set, and read by every consumer
BATCH, TOKENS = 8, 400


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=5, metavar=("SHARDS", "OUT", "WORLD", "WORKERS", "TOKENS"))
    args = parser.parse_args()
    if args.child:
        shards, out, *numbers = args.child
        _consume(Path(shards), Path(out), *map(int, numbers))
        return 0
    rng, kills, consumers = random.Random(args.seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        shards, alone = Path(folder, "shards"), Path(folder, "alone")
        write_shards(open_dataset("simulated", count=COUNT, seed=0), shards, shard_bytes=2**21)
        began = time.monotonic()
        _killed(shards, alone, 1, 0, 0, None)
        seconds = time.monotonic() - began
        reference = _seen(alone)
        assert len(reference) == TOTAL
        assert len(set(reference)) == COUNT
        while kills < args.kills:
            consumers += 1
            out = Path(folder, str(consumers))
            while _killed(shards, out, *_some(rng), rng.uniform(0, seconds / 3) if kills < args.kills else None):
                kills += 1
            pairs = zip(_seen(out), reference, strict=True)
            different = [number for number, (one, two) in enumerate(pairs) if one != two]
            print(
                f"consumer {consumers}, {kills} kills: {'differs, from sample' if different else 'equal'}",
                *different[:1],
            )
            if different:
                return 1
    print(f"{kills} kills of {consumers} consumers, every sequence of {TOTAL} samples equal")
    return 0


def _some(rng: random.Random) -> tuple[int, int, int]:
    """World, workers, and tokens a batch (0: no limit)."""
    return rng.randint(1, 3), rng.randint(0, 2), rng.choice([0, TOKENS])


def _consume(shards: Path, out: Path, world: int, workers: int, tokens: int) -> None:
    out.mkdir(exist_ok=True)
    at = out / "position"
    position = int(at.read_text()) if at.exists() else 0
    notes = out / "samples"
    kept = notes.read_text().splitlines(keepends=True)[:position] if notes.exists() else []
    notes.write_text("".join(kept))
    streams = [
        ShardStream(
            [CorpusSection(shards=shards)],
            WfmConfig(),
            BATCH,
            seed=3,
            steps=TOTAL,
            position=position,
            rank=rank,
            world=world,
            batch_tokens=tokens or None,
        )
        for rank in range(world)
    ]
    print("reading", flush=True)
    loaders = [Loader(stream, workers) for stream in streams]
    with notes.open("a") as file:
        for step in zip(*loaders, strict=True):
            for batch, _ in step:
                file.writelines(f"{name}\n" for name in _names(batch))
            file.flush()
            position = step[0][1]
            if position >= TOTAL:
                return
            write_atomically(at, str(position).encode())


def _names(batch: Batch) -> list[str]:
    return [hashlib.sha256(row.numpy().tobytes()).hexdigest()[:16] for row in batch["values"]]


def _killed(shards: Path, out: Path, world: int, workers: int, tokens: int, after_s: float | None) -> bool:
    """Whether a reader was killed before it ended by itself; the clock starts when it begins to read."""
    command = [sys.executable, __file__, "--child", *map(str, (shards, out, world, workers, tokens))]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    try:
        _, told = child.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return True
    if child.returncode:
        raise SystemExit(told)
    return False


def _seen(out: Path) -> list[str]:
    return (out / "samples").read_text().splitlines()[:TOTAL]


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
