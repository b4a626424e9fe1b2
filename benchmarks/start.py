"""The start of a run on up to a billion samples: seconds and memory before the first sample is read, and of the cut.

Shards of 10,000 samples, five rooms and two shapes each, which the manifest states as a build does; the tar files are
sparse, of their real size, and none is opened. Each size is a process of its own; memory is its peak beyond what it
takes to import. *Part* reads the manifest, looks at every file and selects the training rooms; *record* writes
`pretraining.json` (the content hashes, 8 bytes a sample, are sorted by another process meanwhile, which is left out);
*cut* gives the batches of all of 64 ranks for 100 steps by tokens, from position 0 and without their contents.
"""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from unittest.mock import patch

from benchmarks.rows import Rows
from foundation.config import CorpusSection, PretrainRecipe
from foundation.data.batching import cut
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest, Shard
from foundation.data.shards.summary import Summary
from foundation.data.stream import ShardStream
from foundation.models import WfmConfig
from foundation.train.directory import provenance

SAMPLES, SAMPLE_BYTES, ROOMS = 10_000, 8192, 5
SHARDS = (100, 10_000, 100_000)
WORLD, BATCH, TOKENS, STEPS = 64, 256, 8192, 100
MOST_S = 60.0  # of a start


def synthetic(folder: Path, shards: int) -> None:
    """A shard directory without samples: a manifest, and sparse files of the size that it says."""
    entries = []
    for number in range(shards):
        entries.append(
            Shard(
                file=f"synthetic-{number:06d}.tar",
                count=SAMPLES,
                bytes=SAMPLES * SAMPLE_BYTES + 1024,
                sha256=hashlib.sha256(str(number).encode()).hexdigest(),
                sessions={f"room-{ROOMS * number + k:06d}": SAMPLES // ROOMS for k in range(ROOMS)},
                shapes=[(SAMPLES // 2, 100, 2, 30), (SAMPLES // 2, 1, 8, 64)],
            )
        )
        with (folder / entries[-1].file).open("wb") as file:
            file.truncate(entries[-1].bytes)
    rooms = [room for entry in entries for room in entry.sessions]
    described = dict.fromkeys(("title", "licence", "citation", "homepage"), "")
    Manifest(
        **described,  # type: ignore[arg-type]
        name="synthetic",
        version=1,
        tasks={},
        parameters={},
        shard_bytes=SAMPLES * SAMPLE_BYTES,
        count=SAMPLES * shards,
        bytes=sum(entry.bytes for entry in entries),
        shards=entries,
        splits={"room": {"train": rooms[: -len(rooms) // 10], "test": rooms[-len(rooms) // 10 :]}},
        summary=Summary(kinds={"csi": SAMPLES * shards}),
    ).save(folder)


def measured(folder: Path) -> dict[str, tuple[float, float]]:
    """Seconds, and MB of memory beyond those of the imports, of each step of a start."""
    found: dict[str, tuple[float, float]] = {}
    part = CorpusSection(shards=folder, split="room", part="train")
    data = {"shards": folder, "split": "room", "part": "train"}
    recipe = PretrainRecipe.model_validate(
        {"name": "start", "out": folder / "run", "data": data, "train": {"steps": 10}}
    )
    idle = _peak_mb()

    @contextmanager
    def step(name: str) -> Iterator[None]:
        gc.collect()  # what the step before has left
        Path("/proc/self/clear_refs").write_text("5")  # begin the peak anew
        begin = time.perf_counter()
        yield
        found[name] = time.perf_counter() - begin, _peak_mb() - idle

    with step("part"):
        Corpus(part)
    with step("the first tenth of its rooms"):
        Corpus(part.model_copy(update={"sessions": len(Manifest.load(folder).splits["room"]["train"]) // 10}))
    with step("a tenth of its samples, balanced"):
        Corpus(part.model_copy(update={"samples": Manifest.load(folder).count // 10}))
    with step("record"), patch.object(provenance, "_hash"), patch.object(provenance, "MOST_AT_START", 2**62):
        provenance.write_record(recipe, begun=False)
    with step("stream"):
        stream = ShardStream([part], WfmConfig(), BATCH, 0, 10**6, world=WORLD, batch_tokens=TOKENS)
    with step("cut"):
        steps = list(islice(cut(0, WORLD, BATCH, TOKENS, stream.lengths), STEPS))
    found["cut, per sample"] = found["cut"][0] / steps[-1][-1].stop * 1e9, found["cut"][1]
    return found


def _peak_mb() -> float:
    """Peak of this process alone; `ru_maxrss` is that of the parent where that has had more."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    rows = Rows(__file__)
    for shards in SHARDS:
        with tempfile.TemporaryDirectory() as name:
            synthetic(Path(name), shards)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found = pool.apply(measured, (Path(name),))
        total = f"{SAMPLES * shards:.0e}".replace("e+0", "e")
        per_sample, _ = found.pop("cut, per sample")
        for what, (seconds, mb) in found.items():
            rows.add(f"{total} samples, {what}", seconds, "s", "a minute", seconds / MOST_S)
            rows.add(
                f"{total} samples, {what}, memory", mb, "MB", "8 bytes a sample", mb * 1e6 / (8 * SAMPLES * shards)
            )
        whole = sum(found[what][0] for what in ("record", "stream", "cut"))
        rows.add(f"{total} samples, start", whole, "s", "a minute", whole / MOST_S)
        rows.add(f"{total} samples, cut of a sample of any rank", per_sample, "ns", "a microsecond", per_sample / 1e3)
    rows.write()


if __name__ == "__main__":
    main()
