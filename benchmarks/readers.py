"""Compare the throughput of our readers with that of other libraries: python benchmarks/readers.py [FORMAT ...].

Real recordings come from the folder of `WFM_DATA` (default `../shared/data`), IQ and array files are written here.
Libraries that are not installed, and files that they cannot read, are skipped and reported: CSIKit, pandas, sigmf and
soundfile are not dependencies. The work differs: we detect the format, check every length before use, and return
complex64 values with axes in physical units; a library returns its own structures.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import foundation
from foundation.readers.arrays.layouts import Layout

REPEATS = 9
DATA = Path(os.environ.get("WFM_DATA", Path(__file__).parents[2] / "shared" / "data"))
WRITTEN_BYTES = 1 << 25

Read = Callable[[Path], object]


class Case(NamedTuple):
    """Files of one format, options of our reader, and library -> function that reads one file."""

    name: str
    files: list[Path]
    options: dict[str, Any]
    libraries: dict[str, Read]


def csiread(kind: str, *arguments: object) -> Read:
    def read(path: Path) -> object:
        reader = getattr(importlib.import_module("csiread"), kind)(str(path), *arguments, if_report=False)
        return reader.read()

    return read


def csiread_nexmon(path: Path) -> object:
    """csiread needs chip and bandwidth."""
    chip, mhz = {"example": ("4358", 80), "example_4339": ("4339", 80), "example_4366c0": ("4366c0", 80)}.get(
        path.stem, ("43455c0", 80 if path.stem == "example_43455c0" else 20)
    )
    return csiread("Nexmon", chip, mhz)(path)


def csikit(path: Path) -> object:
    return importlib.import_module("CSIKit.reader").get_reader(str(path)).read_file(str(path))


def library(module: str, function: str, **options: object) -> Read:
    def read(path: Path) -> object:
        return getattr(importlib.import_module(module), function)(path, **options)

    return read


def sigmf_samples(path: Path) -> object:
    return importlib.import_module("sigmf").fromfile(str(path)).read_samples()


def npz_array(path: Path) -> object:
    return np.load(path)["array"]


def hdf5_array(path: Path) -> object:
    with importlib.import_module("h5py").File(path) as file:
        return file["array"][:]


def npz_members(path: Path) -> object:
    with np.load(path) as file:
        return [file[name] for name in file]


def real_cases() -> Iterator[Case]:
    captures = DATA / "captures"
    intel: dict[str, Read] = {"csiread": csiread("Intel", 3, 3), "CSIKit": csikit}
    esp32: dict[str, Read] = {"csiread": csiread("ESP32"), "CSIKit": csikit}
    pico: dict[str, Read] = {"csiread": csiread("Picoscenes", {"CSI": (64, 3, 3)}), "CSIKit": csikit}
    nexmon: dict[str, Read] = {"csiread": csiread_nexmon, "CSIKit": csikit}
    pandas = {"pandas": library("pandas", "read_csv")}
    ble = DATA / "ble-rss-fingerprints" / "calibration"
    found: list[tuple[str, Iterator[Path], dict[str, Read]]] = [
        ("intel5300", captures.glob("intel5300/*.dat"), intel),
        ("intel5300, PolyU", DATA.glob("polyu-csi-ips/captures/*/*p02_l0[1-4].dat"), intel),
        ("atheros", captures.glob("atheros/*.dat"), {"csiread": csiread("Atheros", 3, 3, 0, 56), "CSIKit": csikit}),
        ("nexmon", captures.glob("nexmon/*.pcap"), nexmon),
        ("nexmon, CSU", DATA.glob("csu-indoorloc-nexmon/data/ref/*.pcap"), nexmon),
        ("esp32_csv", captures.glob("esp32/*.csv"), esp32),
        ("picoscenes", captures.glob("picoscenes/*.csi"), pico),
        ("feitcsi", captures.glob("feitcsi/*.csi"), {"CSIKit": csikit}),
        ("esp32_npy", DATA.glob("stability-csi-har/*/*/*-x.npy"), {"np.load": np.load}),
        ("decaranging", DATA.glob("uwb-cirs-2018/results/*.log.gz"), {}),
        ("radhar", DATA.glob("radhar/*.npz"), {"np.load": npz_members}),
        ("ble_rss", ble.glob("calibration_df.csv"), pandas),
    ]
    return (Case(name, sorted(files), {}, libraries) for name, files, libraries in found)


def written_cases(folder: Path) -> Iterator[Case]:
    """Files of `WRITTEN_BYTES` with 16-bit IQ or an array of complex64, by the writers of the libraries themselves."""
    import h5py
    import scipy.io

    rng = np.random.default_rng(0)
    counts = rng.integers(-(1 << 15), 1 << 15, (WRITTEN_BYTES // 4, 2), dtype=np.int16)
    array = rng.standard_normal((WRITTEN_BYTES // 8 // 256, 256, 2), np.float32).view(np.complex64)[..., 0]
    counts.tofile(folder / "iq.sigmf-data")
    about = {"core:datatype": "ci16_le", "core:sample_rate": 1e6, "core:version": "1.2.0"}
    header = {"global": about, "captures": [{"core:sample_start": 0}], "annotations": []}
    (folder / "iq.sigmf-meta").write_text(json.dumps(header))
    scipy.io.wavfile.write(folder / "iq.wav", 1_000_000, counts)
    counts.tofile(folder / "iq.raw")
    np.save(folder / "array.npy", array)
    np.savez(folder / "array.npz", array=array)
    scipy.io.savemat(folder / "array.mat", {"array": array})
    with h5py.File(folder / "array.h5", "w") as file:
        file["array"] = array
    raw = {"format": "raw_iq", "datatype": "ci16_le", "sample_rate_hz": 1e6}
    layout = Layout(
        about="random",
        keys={"complex": "array"},
        axes=["time", "response"],
        kind="csi",
        interval_s=0.01,
        spacing_hz=1e5,
    )
    arrays = {"format": "arrays", "layout": layout}
    wav = {"scipy": library("scipy.io.wavfile", "read"), "soundfile": library("soundfile", "read", dtype="float32")}
    yield Case("sigmf, ci16", [folder / "iq.sigmf-meta"], {}, {"sigmf": sigmf_samples})
    yield Case("wav_iq, int16", [folder / "iq.wav"], {}, wav)
    yield Case("raw_iq, ci16", [folder / "iq.raw"], raw, {"np.fromfile": lambda path: np.fromfile(path, "<i2")})
    yield Case("arrays, .npy", [folder / "array.npy"], arrays, {"np.load": np.load})
    yield Case("arrays, .npz", [folder / "array.npz"], arrays, {"np.load": npz_array})
    yield Case("arrays, .mat 5", [folder / "array.mat"], arrays, {"scipy": library("scipy.io", "loadmat")})
    yield Case("arrays, HDF5", [folder / "array.h5"], arrays, {"h5py": hdf5_array})


def ours(case: Case) -> Read:
    return lambda path: foundation.read(path, **case.options)


def failure(reader: Read, path: Path) -> str:
    """The error of a library on a file, "" if it reads it; in a separate process, which a crash ends alone."""
    receive, send = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_try, args=(reader, path, send))
    child.start()
    send.close()
    try:
        answer: str = receive.recv()
    except EOFError:
        answer = "crash"
    child.join()
    return answer


def _try(reader: Read, path: Path, send: Any) -> None:
    try:
        reader(path)
    except Exception as error:
        send.send(f"no {error.name}" if isinstance(error, ModuleNotFoundError) else type(error).__name__)
    else:
        send.send("")


def rate(readers: list[Read], files: list[Path]) -> list[float]:
    """MB/s of each function, the median of `REPEATS` rounds; they alternate, so that other load affects all of them."""
    seconds: list[list[float]] = [[] for _ in readers]
    for _ in range(REPEATS):
        for reader, times in zip(readers, seconds, strict=True):
            begin = time.perf_counter()
            for path in files:
                reader(path)
            times.append(time.perf_counter() - begin)
    return [megabytes(files) / statistics.median(times) for times in seconds]


def megabytes(files: list[Path]) -> float:
    data = [path.with_suffix(".sigmf-data") if path.suffix == ".sigmf-meta" else path for path in files]
    return sum(path.stat().st_size for path in data) / 1e6


def lines(case: Case) -> Iterator[str]:
    """One line per library, or a single line for our reader alone."""
    own = ours(case)
    files = [path for path in case.files if not failure(own, path)]
    if not files:
        yield f"{case.name:20} no files that can be read in {DATA}"
        return
    compared = 0
    for name, reader in case.libraries.items():
        failures = {path: why for path in files if (why := failure(reader, path))}
        readable = [path for path in files if path not in failures]
        reasons = ", ".join(sorted(set(failures.values())))
        if not readable:
            yield f"{case.name:20} {name}: {reasons}, {'left out' if reasons.startswith('no ') else 'on every file'}"
            continue
        reader(readable[0])  # imports on the first call
        mine, theirs = rate([own, reader], readable)
        note = f"  {reasons} on {len(failures)} more files" if failures else ""
        yield _line(case.name, readable, mine, f"{name:12} {theirs:8.1f} {mine / theirs:7.2f}{note}")
        compared += 1
    if not compared:
        yield _line(case.name, files, rate([own], files)[0], "-")


def _line(name: str, files: list[Path], mine: float, rest: str) -> str:
    return f"{name:20} {len(files):5} {megabytes(files):7.2f} {mine:8.1f}  {rest}"


def main(wanted: list[str]) -> None:
    """Print MB/s of our reader and of each library, and their ratio."""
    warnings.simplefilter("ignore")
    print(f"{'format':20} {'files':>5} {'MB':>7} {'MB/s':>8}  {'library':12} {'MB/s':>8} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for cases in (real_cases(), written_cases(Path(folder))):
            for case in cases:
                if not wanted or case.name.split(",")[0] in wanted:
                    silent = io.StringIO()  # CSIKit prints
                    with contextlib.redirect_stdout(silent):
                        found = list(lines(case))
                    print(*found, sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
