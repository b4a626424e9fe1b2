"""Mutated captures for every reader: python tests/fuzz/readers.py DATA [--count 20000] [--reader nexmon] [--seed 0].

DATA is the folder of real recordings. A mutated file must give signals or a `ReadError`: no other exception, no hang
over two seconds, no allocation over ten times the file. The first failure of each reader is kept beside this script.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np

from foundation import readers
from foundation.errors import ReadError, SignalError

LIMIT_S = 2.0
#: Numpy and Python need some room of their own, however small the file.
ROOM = 4 * 2**20
LARGEST = 200_000  # bytes of a seed file: long ones only take longer

SEEDS = {
    "picoscenes": "captures/picoscenes/*.csi",
    "feitcsi": "captures/feitcsi/*.csi",
    "nexmon": "captures/nexmon/*.pcap",
    "sigmf": "captures/sigmf/**/*.sigmf-meta",
    "esp32_npy": "stability-csi-har/**/*.npy",
    "decaranging": "uwb-cirs-2018/**/*.log*",
    "radhar": "radhar/**/*.npz",
    "ble_rss": "ble-rss-fingerprints/**/*_df.csv",
    "esp32_csv": "captures/esp32/example*.csv",
    "atheros": "captures/atheros/*.dat",
    "intel5300": "captures/intel5300/*.dat",
}


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut, change, repeat, remove or overwrite a stretch; up to three times."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if not out:
            break
        at, size = int(rng.integers(len(out))), int(rng.integers(1, 64))
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


def attempt(name: str, path: Path) -> str | None:
    """What is wrong with how the reader took the file, or None."""
    size = path.stat().st_size
    signal.setitimer(signal.ITIMER_REAL, 5 * LIMIT_S)
    tracemalloc.start()
    begin = time.process_time()
    try:
        readers.read(path, name)
    except (ReadError, SignalError):
        pass
    except TimeoutError:
        return f"still reading after {5 * LIMIT_S:.0f} s"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        took, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    if took > LIMIT_S:
        return f"took {took:.1f} s"
    return f"allocated {peak / max(size, 1):.0f} times its size" if peak > 10 * size + ROOM else None


def fuzz(name: str, data: Path, count: int, seed: int) -> int:
    """Number of failures."""
    files = sorted(path for path in data.glob(SEEDS[name]) if path.is_file())
    if not files:
        print(f"{name}: no {SEEDS[name]} under {data}; left out")
        return 0
    rng = np.random.default_rng(seed)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            source = files[number % len(files)]
            content = source.read_bytes()[:LARGEST] if name != "radhar" else source.read_bytes()
            path = Path(folder, source.name)
            path.write_bytes(mutate(content, rng))
            if source.suffix == ".sigmf-meta":
                path.with_suffix(".sigmf-data").write_bytes(source.with_suffix(".sigmf-data").read_bytes())
            wrong = attempt(name, path)
            if wrong is not None:
                failures += 1
                if failures == 1:
                    kept = Path(__file__).with_name(f"failed-{name}-{seed}{source.suffix}")
                    kept.write_bytes(path.read_bytes())
                    print(f"{name}: mutation {number} of {source.name}: {wrong}; kept as {kept}")
    print(f"{name}: {count} mutated files, {failures} failures")
    return failures


def _raise(*_: object) -> None:
    raise TimeoutError


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=20_000, help="mutated files for each reader")
    parser.add_argument("--reader", choices=SEEDS, action="append")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    signal.signal(signal.SIGALRM, _raise)
    warnings.simplefilter("ignore")
    return int(sum(fuzz(name, args.data, args.count, args.seed) for name in args.reader or SEEDS) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
