"""Fuzz every reader with mutated captures: tests/fuzz/readers.py DATA [--count 20000] [--reader nexmon] [--seed 0].

DATA is the folder of real recordings. A mutated file must yield signals or a `ReadError`: no other exception, no more
than two seconds, no allocation over ten times the file. The intact file must yield signals: a file that is always
rejected tests nothing. The first failing files of each reader are saved beside this script.
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import psutil
from seeds import Files, Seed, seeds

from foundation import readers
from foundation.errors import ReadError, SignalError
from foundation.readers.arrays import hdf5

#: Limits on processor time and on elapsed time: on a busy machine a new process may wait for seconds.
LIMIT_S, TIMEOUT_S = 2.0, 60.0
#: Memory that Python and NumPy need for any file, and the process that opens HDF5 files.
ROOM, WORKER_ROOM = 4 * 2**20, 640 * 2**20  # a worker limits itself to 512 MiB, beside the libraries it has loaded
_KEPT = 5
_MOST_BYTES = 64


class _Hang(BaseException):
    """A reader exceeded the timeout; not an Exception, so that no reader catches it."""


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Truncate, or randomise, repeat, remove or overwrite a few bytes; up to three times."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if not out:
            break
        at, size = int(rng.integers(len(out))), int(rng.integers(1, _MOST_BYTES))
        kind = int(rng.integers(6))
        if kind == 0:
            del out[at:]
        elif kind == 1:
            out[at : at + size] = rng.integers(0, 256, min(size, len(out) - at), np.uint8).tobytes()
        elif kind == 2:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 3:
            out[at:at] = out[at : at + size]
        elif kind == 4:
            del out[at : at + size]
        else:
            out[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"])
    return bytes(out)


def attempt(name: str, files: Files, seed: Seed, folder: Path) -> str | None:
    """Read these files; returns what is wrong with the outcome, or None."""
    for file, content in files.items():
        (folder / file).write_bytes(content)
    size = sum(len(content) for content in files.values())
    allowed = 10 * size
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S)
    tracemalloc.start()
    begin = time.process_time() + _workers()[0]
    try:
        readers.read(folder / seed.main, name, **seed.options)
    except (ReadError, SignalError):
        pass
    except _Hang:
        return f"still reading after {TIMEOUT_S:.0f} s"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        seconds, held = _workers()
        took = time.process_time() + seconds - begin
    if took > LIMIT_S:
        return f"took {took:.1f} s"
    if peak > allowed + ROOM:
        return f"allocated {peak} bytes for {size}"
    return _most_held(held, allowed + WORKER_ROOM)


def _workers() -> tuple[float, int]:
    """Processor time in seconds and peak memory in bytes of the processes that open HDF5 files.

    The memory of a child of the idle worker that has ended counts once the worker has ended too.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, peak = ended.ru_utime + ended.ru_stime, 1024 * ended.ru_maxrss
    for worker in hdf5._idle.values():
        process = psutil.Process(worker.pid)
        for each in (process, *process.children()):
            times = each.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
            peak = max(peak, _peak_memory(each.pid))
    return seconds, peak


def _peak_memory(process: int) -> int:
    """Bytes of the largest resident set of a running process."""
    status = Path(f"/proc/{process}/status").read_text()
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(kilobytes)


_most = 0


def _most_held(held: int, limit: int) -> str | None:
    """What is wrong if those processes allocated more than `limit` bytes, and more than ever before."""
    global _most
    before, _most = _most, max(_most, held)
    return f"its process allocated {_most} bytes" if _most > max(limit, before) else None


def fuzz(name: str, data: Path, count: int, seed: int) -> int:
    """Fuzz one reader with `count` mutated files; returns the number of failures."""
    sources = seeds(name, data)
    rng = np.random.default_rng(seed)
    failures, told, begin = 0, set(), time.monotonic()
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "capture")
        for source in sources:
            folder.mkdir()
            for file, content in source.pack(source.files).items():
                (folder / file).write_bytes(content)
            readers.read(folder / source.main, name, **source.options)  # the intact file must be readable
            shutil.rmtree(folder)
        folder.mkdir()
        for number in range(count):
            source = sources[number % len(sources)]
            changed = list(source.files)[int(rng.integers(len(source.files)))]
            files = source.pack(source.files | {changed: mutate(source.files[changed], rng)})
            wrong = attempt(name, files, source, folder)
            if wrong is not None:
                failures += 1
                reason = re.sub(r"\d+|b?'[^']*'|/\S*", "", wrong)[:40]
                if reason not in told and len(told) < _KEPT:
                    told.add(reason)
                    kept = Path(__file__).with_name(f"failed-{name}-{seed}-{number}")
                    shutil.copytree(folder, kept, dirs_exist_ok=True)
                    print(f"{name}: mutation {number} of {changed}: {wrong[:200]}; kept as {kept.name}", flush=True)
            for path in folder.iterdir():
                path.unlink()
    hdf5._end_idle()
    largest = max((sum(map(len, source.files.values())) for source in sources), default=0)
    if (wrong := _most_held(_workers()[1], 10 * largest + WORKER_ROOM)) is not None:
        failures += 1
        print(f"{name}: {wrong} on one of the mutated files", flush=True)
    took = time.monotonic() - begin
    print(f"{name}: {count} mutated files, {failures} failures, of {len(sources)} seeds in {took:.0f} s", flush=True)
    return failures + (not sources)


def _raise(*_: object) -> None:
    raise _Hang


def main(argv: list[str]) -> int:
    every = [*readers.READERS, *readers.HEADERLESS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=20_000, help="mutated files for each reader")
    parser.add_argument("--reader", choices=every, action="append")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    signal.signal(signal.SIGALRM, _raise)
    warnings.simplefilter("ignore")
    return int(sum(fuzz(name, args.data, args.count, args.seed) for name in args.reader or every) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
