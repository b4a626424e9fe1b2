"""Small intact captures that `tests/fuzz/readers.py` mutates: cut from real recordings, or written by the helpers.

Data protected by a checksum (members of zip archives, gzip streams, elements compressed by zlib) is also mutated before
it is packed: a change of the packed bytes rarely passes the checksum.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from foundation.readers.arrays.deepmimo import Setup

sys.path.append(str(Path(__file__).resolve().parents[1]))

from helpers import (
    arrays,
    dca1000,
    deepmimo,
    esp32,
    ewine,
    powder,
    radcom,
    radhar,
    rml_pickle,
    sigmf,
    uji_indoorloc,
    wav_iq,
)

Files = dict[str, bytes]

#: Reader -> folder of real recordings, and the bytes of each up to the end of a record.
_REAL: dict[str, tuple[str, dict[str, int]]] = {
    "picoscenes": (
        "captures/picoscenes",
        {
            "picoscenes_ax200_example.csi": 5934,
            "picoscenes_iwl5300_example.csi": 5885,
            "rx_8_211119_171706.csi": 4197,
            "rx_8_211206_152319.csi": 5308,
            "rx_by_iwl5300.csi": 5406,
            "rx_by_qca9300.csi": 5840,
            "rx_by_usrpN210.csi": 12900,
        },
    ),
    "feitcsi": (
        "captures/feitcsi",
        {
            "HESU160_5500.csi": 16208,
            "HESU20_5500.csi": 4416,
            "HT20_2452.csi": 5760,
            "HT40_2452.csi": 5920,
            "VHT160_5500.csi": 4144,
            "VHT80_5500.csi": 4416,
        },
    ),
    "nexmon": (
        "captures/nexmon",
        {
            "example.pcap": 4424,
            "example_4339.pcap": 5524,
            "example_43455c0.pcap": 5524,
            "example_4366c0.pcap": 5524,
        },
    ),
    "ble_rss": (
        "ble-rss-fingerprints",
        {"calibration/calib1_df.csv": 5873, "tests/test_robot_df.csv": 5966, "tests/test_walk_df.csv": 5987},
    ),
    "esp32_csv": (
        "captures/esp32",
        {"example_csi.csv": 6000, "example_data.csv": 6000, "example_fast_100hz_pitraffic.csv": 6000},
    ),
    "atheros": ("captures/atheros", {"ath_csi_1.dat": 5721}),
    "intel5300": ("captures/intel5300", {"example.dat": 5925, "los_100.dat": 5805, "sample_0x5_64_3000.dat": 5882}),
}


@dataclass(frozen=True)
class Seed:
    """Files of an intact capture, one of which is mutated.

    Attributes:
        main: name of the file that is read, "" for the folder itself.
        files: name -> content.
        options: options of the reader.
        pack: converts the mutated files to those that are written.
    """

    main: str
    files: Files
    options: dict[str, Any] = field(default_factory=dict)
    pack: Callable[[Files], Files] = dict


def seeds(name: str, data: Path) -> list[Seed]:
    """All seeds of a reader; `data` is the folder of real recordings."""
    folder, sizes = _REAL.get(name, ("", {}))
    contents = {Path(file).name: (data / folder / file).read_bytes()[:size] for file, size in sizes.items()}
    found = [Seed(file, {file: content}) for file, content in contents.items()]
    return found + (list(_WRITERS[name](data)) if name in _WRITERS else [])


def _written(write: Callable[[Path], Path], main: str | None = None, **options: Any) -> Seed:
    """The files that a function writes into an empty folder; the reader reads the path that it returns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write(folder)
        files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    return Seed(path.name if main is None else main, files, options)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _zipped(archive: str, members: Files) -> Files:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return {archive: buffer.getvalue()}


def _npz(archive: str, arrays: dict[str, np.ndarray], **options: Any) -> Iterator[Seed]:
    """An archive, mutated as a whole and member by member."""
    members = {f"{key}.npy": _npy(array) for key, array in arrays.items()}
    yield Seed(archive, _zipped(archive, members), options)
    yield Seed(archive, members, options, partial(_zipped, archive))


def _gzipped(files: Files) -> Files:
    return {f"{name}.gz": gzip.compress(content, 1, mtime=0) for name, content in files.items()}


def _deflated(files: Files) -> Files:
    """Elements of a MATLAB 5 file, compressed."""
    packed = zlib.compress(files["element"])
    return {"a.mat": files["header"] + struct.pack("<II", 15, len(packed)) + packed}


def _ewine(data: Path) -> Iterator[Seed]:
    rows = [ewine.row(0), ewine.row(1, NLOS=0, FP_IDX=745, RXPACC=118, CH=2)]
    yield _written(lambda folder: ewine.written(folder / "part1.csv", *rows))


def _powder(data: Path) -> Iterator[Seed]:
    samples = arrays.normal(300)
    yield _written(lambda folder: powder.recording(folder, samples))


def _sigmf(data: Path) -> Iterator[Seed]:
    for path in sorted(data.glob("captures/sigmf/0x0.sigmf-meta")):  # 0x1 contradicts its samples
        both = {file.name: file.read_bytes() for file in (path, path.with_suffix(".sigmf-data"))}
        yield Seed(path.name, both, {"sample_rate_hz": 1e6})
    captures = [{"sample_start": 0, "frequency": 1e8}, {"sample_start": 5, "header_bytes": 0}]
    annotations = [
        {"sample_start": 2, "sample_count": 2, "label": "lora"},
        {"sample_start": 4, "label": "wifi"},
        {"sample_start": 8, "sample_count": 3, "label": "wifi"},
    ]
    meta = sigmf.meta_of(captures, annotations, num_channels=1, offset=0, trailing_bytes=0)
    recording = _written(lambda folder: sigmf.written(folder, meta))
    yield recording
    archive = _written(lambda folder: sigmf.archive(folder / "a.sigmf", **recording.files))
    yield archive
    yield Seed("a.sigmf.gz", archive.files, pack=_gzipped)


def _wav_iq(data: Path) -> Iterator[Seed]:
    samples = np.random.default_rng(0).integers(0, 256, 600, np.uint8).tobytes()
    auxiliary = wav_iq.chunk(b"auxi", bytes(32) + struct.pack("<I", 433_920_000) + bytes(28))
    plain = wav_iq.fmt(tag=0xFFFE)[8:]
    extended = wav_iq.chunk(b"fmt ", plain + struct.pack("<HHIH", 22, 16, 3, 1) + bytes(14))
    for form in (wav_iq.fmt(), wav_iq.fmt(bits=24), wav_iq.fmt(tag=3, bits=32), extended):
        content = wav_iq.wav(form, wav_iq.chunk(b"LIST", b"odd"), auxiliary, wav_iq.chunk(b"data", samples))
        yield Seed("a.wav", {"a.wav": content}, {"carrier_hz": 1e9})
    xml = '<?xml version="1.0"?><SDR-XML-Root><Definition RadioCenterFreq="162550000"/></SDR-XML-Root>'
    long = wav_iq.chunk(b"ds64", struct.pack("<QQQI", 700, len(samples), 150, 0))
    chunks = [long, wav_iq.fmt(), wav_iq.chunk(b"auxi", xml.encode("utf-16"))]
    content = wav_iq.wav(*chunks, wav_iq.chunk(b"data", samples, 0xFFFFFFFF))
    yield Seed("a.wav", {"a.wav": b"RF64" + content[4:]})


def _esp32_csv(data: Path) -> Iterator[Seed]:
    """Buffers of newer devices, and text as monitors and shells leave it."""
    names, long = esp32.ESP_CSI_C5, [esp32.random_buffer(seed, values) for values in (128, 256) for seed in (0, 1)]
    lines = [esp32.line(buffer, 1000 * at, names) for at, buffer in enumerate(long)]
    wide = [
        esp32.line(esp32.random_buffer(at, 384), 1000 * at, sig_mode=1, bandwidth=1, secondary_channel=1)
        for at in range(3)
    ]
    text = f"{names}\n" + "".join(lines)
    boot = "ESP-ROM:esp32c6-20220919\r\nI (30) boot: \x1b[0;32mloaded\x1b[0m\r\n" * 20
    yield Seed("c6.csv", {"c6.csv": text.encode()})
    yield Seed("ht40.csv", {"ht40.csv": "".join([f"{esp32.TOOL}\n", *wide]).encode()})
    yield Seed("shell.csv", {"shell.csv": text.encode("utf-16")})
    yield Seed("monitor.log", {"monitor.log": (boot + text.replace("\n", "\r\n")).encode("utf-8-sig")})


def _esp32_npy(data: Path) -> Iterator[Seed]:
    for path in sorted(data.glob("stability-csi-har/**/*-x.npy"))[:2]:
        window = np.load(path, allow_pickle=False)[:, :8]
        for array in (np.stack([window, window]), np.asfortranarray(window)):
            yield Seed("a-x.npy", {"a-x.npy": _npy(array)})


def _decaranging(data: Path) -> Iterator[Seed]:
    for path in sorted(data.glob("uwb-cirs-2018/**/*.log.gz"))[:3]:
        with gzip.open(path) as file:
            log = {"1.log": file.read(26_000)}  # two frames and a part of the third
        yield Seed("1.log", log)
        yield Seed("1.log.gz", _gzipped(log))
        yield Seed("1.log.gz", log, pack=_gzipped)


def _deepmimo(data: Path) -> Iterator[Seed]:
    options = {"setup": Setup(tx=2, rx=2, subcarriers=4)}
    yield from _npz("city.npz", deepmimo.rays(), **options)
    for format in ("npz", "mat", "npy"):
        write = partial(deepmimo.scenario, format=format)
        yield _written(write, "", **options)
    yield _written(partial(deepmimo.scenario3, compress=False), "", **options)


def _radhar(data: Path) -> Iterator[Seed]:
    yield Seed("a.txt", {"a.txt": radhar.TEXT.encode()})
    clouds = {"Train|walk|a_1": radhar.cloud(), "Test|jump|b": radhar.cloud(seed=1)}
    yield from _npz("points.npz", clouds)


def _uji_indoorloc(data: Path) -> Iterator[Seed]:
    yield _written(lambda folder: uji_indoorloc.written(folder, *uji_indoorloc.ROWS))


def _rml_pickle(data: Path) -> Iterator[Seed]:
    few = {key: examples[:1, :, :24] for key, examples in rml_pickle.DATA.items()}
    contents = [pickle.dumps(few, protocol) for protocol in range(6)]
    for content in (*contents, rml_pickle.python2_pickle(few)):
        yield Seed("RML.dat", {"RML.dat": content})


def _radcom(data: Path) -> Iterator[Seed]:
    examples = {str(key): arrays.normal(256).real for key in radcom.KEYS}
    yield _written(lambda folder: radcom.written(folder / "a.hdf5", examples))


def _raw_iq(data: Path) -> Iterator[Seed]:
    content = arrays.normal(100).tobytes()
    for datatype in ("cf32_le", "cf64_be", "ci16_be", "cu8", "ru8"):
        yield Seed("a.iq", {"a.iq": content}, {"datatype": datatype, "sample_rate_hz": 1e6, "carrier_hz": 2.4e9})


def _arrays(data: Path) -> Iterator[Seed]:
    options = {"layout": arrays.layout(labels={"place": {"key": "place"}})}
    stored = {"H": arrays.normal(3, 4, 5), "place": np.arange(6.0).reshape(3, 2)}
    for format in ("mat5", "mat5z", "mat73", "h5"):
        write = partial(_container, format=format, stored=stored)
        yield _written(write, **options)
    table = "mac;amp 0;amp 1;class\n" + "aa:bb;1.5;2;0\ncc:dd;3;;1\n" * 9
    given = arrays.layout(keys={"amplitude": "amp *"}, axes=["time", "response"], kind="csi-amplitude")
    yield Seed("a.csv", {"a.csv": table.encode()}, {"layout": given})
    (element,) = _written(partial(_container, format="mat5", stored={"H": stored["H"]})).files.values()
    alone = {"layout": arrays.layout()}
    yield Seed("a.mat", {"header": element[:128], "element": element[128:]}, alone, _deflated)
    yield from _npz("a.npz", stored, **options)
    for array in (stored["H"], np.asfortranarray(stored["H"])):
        yield Seed("a.npy", {"a.npy": _npy(array)}, {"layout": arrays.layout(keys={"complex": "array"})})


def _container(folder: Path, format: str, stored: dict[str, np.ndarray]) -> Path:
    return arrays.write_any(folder / "a.mat", format, stored)


def _dca1000(data: Path) -> Iterator[Seed]:
    for layout in ("two-lane", "four-lane"):
        values = dca1000.numbers(dca1000.cube(), layout)
        write = partial(dca1000.written, values=values, layout=layout)
        yield _written(write)


_WRITERS: dict[str, Callable[[Path], Iterator[Seed]]] = {
    "ewine": _ewine,
    "powder": _powder,
    "sigmf": _sigmf,
    "wav_iq": _wav_iq,
    "esp32_csv": _esp32_csv,
    "esp32_npy": _esp32_npy,
    "decaranging": _decaranging,
    "deepmimo": _deepmimo,
    "radhar": _radhar,
    "uji_indoorloc": _uji_indoorloc,
    "rml_pickle": _rml_pickle,
    "radcom": _radcom,
    "raw_iq": _raw_iq,
    "arrays": _arrays,
    "dca1000": _dca1000,
}
