"""Fuzz shard directories with mutated manifests and tars: tests/fuzz/shards.py [--count 20000] [--seed 0].

Whatever a mutant holds, reading and verifying it yields the samples that were written, each in its own session and
part, or a `WfmError`: no other exception, no more than two seconds, no memory over ten times the files, no sample of a
test session in training.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers.manifests import reseal, rewrite_tar
from helpers.small_set import SHARD_BYTES, _dataset
from mutations import bytes_of, changed, peak_memory

from foundation.config import CorpusSection
from foundation.data.shards.corpus import Corpus, read_part
from foundation.data.shards.verify import verify
from foundation.data.shards.write import write_shards
from foundation.errors import WfmError

LIMIT_S = 2.0
ROOM = 8 * 2**20  # memory that Python and NumPy need for any directory

Mutate = Callable[[random.Random, Path], None]


def manifest_bytes(rng: random.Random, folder: Path) -> None:
    data = bytearray((folder / "manifest.json").read_bytes())
    bytes_of(rng, data)
    (folder / "manifest.json").write_bytes(data)


def manifest_values(rng: random.Random, folder: Path) -> None:
    """A few values of the manifest replaced, deleted or moved; keys sorted, or shards swapped, now and then."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(changed(rng, json.loads(path.read_text())), sort_keys=rng.random() < 0.2))


def tar_bytes(rng: random.Random, folder: Path) -> None:
    """Random bytes, or numbers of a header with a right checksum; the manifest then agrees, as an attacker's would."""
    path = rng.choice(sorted(folder.glob("*.tar")))
    data = bytearray(path.read_bytes())
    if rng.random() < 0.5:
        bytes_of(rng, data)
    else:
        start = rng.choice([at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"])
        field, size = rng.choice([(0, 100), (124, 12), (156, 1), (345, 155), (148, 8)])
        new = rng.choice(
            [b"-0000001750", b"77777777777", b"\x80" + b"\xff" * 11, b"\xff" * 12, b"S", b"x", b"L", b"g", b"5"]
        )
        data[start + field : start + field + size] = new[:size].ljust(size, b"\0")
        header = data[start : start + 512]
        total = sum(header) - sum(header[148:156]) + 8 * 32
        data[start + 148 : start + 156] = b"%06o\0 " % total
    path.write_bytes(data)
    if data and rng.random() < 0.9:
        reseal(folder)


def members(rng: random.Random, folder: Path) -> None:
    """One member of a sample changed, its metadata by value, in a tar and a manifest that agree with it."""

    def change(found: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        at = rng.randrange(len(found))
        name, content = found[at]
        data = bytearray(content)
        if name.endswith(".json") and rng.random() < 0.7:
            data = bytearray(json.dumps(changed(rng, json.loads(content))).encode())
        elif name.endswith(".npy") and rng.random() < 0.7:
            head = bytearray(data[:128])
            bytes_of(rng, head, 3)
            data[:128] = head
        else:
            bytes_of(rng, data)
        found[at] = (name, bytes(data))
        return found

    rewrite_tar(rng.choice(sorted(folder.glob("*.tar"))), change)
    reseal(folder)


def swapped(rng: random.Random, folder: Path) -> None:
    """Two shards in each other's place, or sorted keys in a manifest of the first schema version."""
    one, two = rng.sample(sorted(folder.glob("*.tar")), 2)
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)
    if rng.random() < 0.5:
        reseal(folder)


MUTATIONS: dict[str, Mutate] = {
    "manifest-bytes": manifest_bytes,
    "manifest-values": manifest_values,
    "tar": tar_bytes,
    "members": members,
    "swapped": swapped,
}


def _late(*_: object) -> None:
    raise TimeoutError


def check(folder: Path, session_of: dict[bytes, str], splits: dict[str, dict[str, list[str]]]) -> str:
    """What is wrong with how a directory is read; "" if nothing is."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    started = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, 60)
    before = peak_memory()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for read in (lambda: list(Corpus(CorpusSection(shards=folder))), lambda: verify(folder)):
                with contextlib.suppress(WfmError):
                    read()
            for part in splits["main"]:
                try:
                    found = {session_of.get(each.values.tobytes(), "?") for each in read_part(folder, "main", part)}
                except WfmError:
                    continue
                stated = json.loads((folder / "manifest.json").read_text())["splits"]["main"][part]
                if not found - {"?"} <= set(stated):  # "?": values that the mutation changed
                    return f"part {part} holds sessions {sorted(found)}, and its manifest says {stated}"
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if (spent := time.process_time() - started) > LIMIT_S:
        return f"it took {spent:.1f} s"
    grown = peak_memory() - before
    return f"it took {grown} bytes of memory for {size}" if grown > 10 * size + ROOM else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20000, help="mutants of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, _late)
    failed = 0
    with tempfile.TemporaryDirectory() as made:
        built, mutant = Path(made, "built"), Path(made, "mutant")
        manifest = write_shards(_dataset(), built, shard_bytes=SHARD_BYTES)
        session_of = {each.values.tobytes(): each.session for each in read_part(built)}
        check(built, session_of, manifest.splits)  # what is imported once does not count
        if wrong := check(built, session_of, manifest.splits):
            sys.exit(f"the directory as it was built: {wrong}")
        for name, mutate in MUTATIONS.items():
            failures = 0
            for number in range(options.count):
                shutil.rmtree(mutant, ignore_errors=True)
                shutil.copytree(built, mutant)
                mutate(random.Random(f"{options.seed} {name} {number}"), mutant)
                if wrong := check(mutant, session_of, manifest.splits):
                    failures += 1
                    print(f"{name} {number}: {wrong}")
            print(f"{name}: {options.count} mutants, {failures} failures", flush=True)
            failed += failures
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
