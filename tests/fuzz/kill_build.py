"""Builds killed at random moments: python tests/fuzz/kill_build.py [--kills 50] [--seed 0].

A build of simulated shards, by one to three workers or as an array of parts with a merge, is killed (SIGKILL) and
started again until it ends; the directory must then be, byte for byte and file for file, that of a build that nothing
disturbed, and no worker may outlive its build. Goes on with fresh builds until there were enough kills.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from foundation.data.shards.array_build import merge_parts, write_part
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset

COUNT, SHARD_BYTES = 640, 2**21
ORPHAN_S = 20.0  # a worker that has just been started loads its modules before it looks for its parent


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=3, metavar=("OUT", "WORKERS", "PARTS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        _build(Path(args.child[0]), int(args.child[1]), int(args.child[2]))
        return 0
    rng, kills, builds = random.Random(args.seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        _build(Path(folder, "reference"), 1, 0)
        reference = _files(Path(folder, "reference"))
        began = time.monotonic()
        _killed(Path(folder, "timed"), 2, 3, 600)
        seconds = time.monotonic() - began
        while kills < args.kills:
            builds += 1
            out, workers, parts = Path(folder, str(builds)), rng.randint(1, 3), rng.choice([0, 0, 1, 3])
            while kills < args.kills and _killed(out, workers, parts, rng.uniform(0, seconds)):
                kills += 1
                workers = rng.randint(1, 3)
            _build(out, workers, parts)
            found = _files(out)
            different = [name for name in found | reference if found.get(name) != reference.get(name)]
            print(
                f"build {builds}, {kills} kills, {parts} parts: {'differs in ' if different else 'equal'}", *different
            )
            if different:
                return 1
            for name in found:
                (out / name).unlink()
    print(f"{kills} kills in {builds} builds, all bytes equal")
    return 0


def _build(out: Path, workers: int, parts: int) -> None:
    dataset = open_dataset("simulated", count=COUNT, seed=0)
    if not parts:
        write_shards(dataset, out, shard_bytes=SHARD_BYTES, workers=workers)
        return
    for part in range(parts):
        write_part(dataset, out, part, parts, shard_bytes=SHARD_BYTES, workers=workers)
    merge_parts(out)


def _killed(out: Path, workers: int, parts: int, after_s: float) -> bool:
    """Whether a build was killed before it ended by itself."""
    command = [sys.executable, __file__, "--child", str(out), str(workers), str(parts)]
    child = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    try:
        _, told = child.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        _wait_for_orphans(child.pid)
        return True
    if child.returncode:
        raise SystemExit(told)
    return False


def _wait_for_orphans(group: int) -> None:
    give_up = time.monotonic() + ORPHAN_S
    while time.monotonic() < give_up:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)
    raise SystemExit(f"workers outlived their killed build by {ORPHAN_S} s")


def _files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


if __name__ == "__main__":
    sys.exit(main())
