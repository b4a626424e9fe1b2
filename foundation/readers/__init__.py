"""Read capture and data files of many formats as signals, and detect the format by content.

One module per format, each with `sniff(head) -> bool` and `read(path, ...)`, in the folder of what it measures. The
file name extension is never used.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from foundation.errors import ReadError
from foundation.readers.arrays import containers
from foundation.readers.files import plain_text, read_bytes
from foundation.signal import Signal


class Format(NamedTuple):
    """A file format: the module below `foundation.readers` that reads it, and what its files are."""

    module: str
    description: str


#: Formats that are detected by content, in this order: the most specific signature first.
READERS: dict[str, Format] = {
    "ewine": Format("uwb.ewine", "eWINE UWB impulse responses of a DWM1000 (CSV)"),
    "picoscenes": Format("wifi.picoscenes", "PicoScenes Wi-Fi CSI (.csi): Intel AX200, AX210 and 5300, QCA9300, USRP"),
    "feitcsi": Format("wifi.feitcsi", "FeitCSI Wi-Fi CSI (.csi): Intel AX200 and AX210, HT, VHT and HE, 20 to 160 MHz"),
    "nexmon": Format(
        "wifi.nexmon", "Broadcom Wi-Fi CSI (.pcap of nexmon_csi on the BCM4339, 43455c0, 4358 and 4366c0)"
    ),
    "powder": Format("iq.powder", "POWDER radio fingerprints (.bin and its .json description; name the .json)"),
    "sigmf": Format("iq.sigmf", "SigMF recordings (.sigmf-meta with .sigmf-data, or a .sigmf archive)"),
    "wav_iq": Format("iq.wav_iq", "IQ recordings in WAV files (I left, Q right)"),
    "esp32_npy": Format("wifi.esp32_npy", "ESP32 Wi-Fi CSI amplitudes in a NumPy .npy file"),
    "decaranging": Format("uwb.decaranging", "DecaRanging log of UWB channel impulse responses, plain or gzip"),
    "deepmimo": Format(
        "arrays.deepmimo",
        "DeepMIMO ray-traced scenarios (.npz of version 4; folders and .mat of version 3 must be named)",
    ),
    "radhar": Format("radar.radhar", "RadHAR radar point clouds (text of ROS messages, or many in one .npz)"),
    "uji_indoorloc": Format("rssi.uji_indoorloc", "Wi-Fi RSSI fingerprints in the layout of UJIIndoorLoc (CSV)"),
    "ble_rss": Format("rssi.ble_rss", "BLE RSSI fingerprints and walks (CSV)"),
    "esp32_csv": Format("wifi.esp32_csv", "ESP32 Wi-Fi CSI text lines (.csv of the ESP32-CSI-Tool and esp-csi)"),
    "atheros": Format("wifi.atheros", "Atheros Wi-Fi CSI (.dat of the Atheros CSI Tool)"),
    "intel5300": Format("wifi.intel5300", "Intel 5300 Wi-Fi CSI (.dat of the Linux 802.11n CSI Tool)"),
    "rml_pickle": Format("iq.rml_pickle", "RadioML pickles of 2016 and 2022 (read without unpickling)"),
    "radcom": Format("iq.radcom", "RadCom radar and communication waveforms (HDF5)"),
}
#: Formats that content does not identify: the caller names them and gives the parameters that the file lacks.
HEADERLESS: dict[str, Format] = {
    "raw_iq": Format(
        "iq.raw_iq", "raw interleaved IQ samples; datatype=cf32_le, ci16_le, ... and sample_rate_hz= are required"
    ),
    "arrays": Format(
        "arrays.reader",
        "arrays in .mat, HDF5, .npz, .npy or a CSV table; layout=FILE describes them, such as one of shards/layouts/",
    ),
    "dca1000": Format(
        "radar.dca1000",
        "TI mmWave radar samples of a DCA1000 (.bin); its configuration in a .json of the same name, or config=",
    ),
}
_HEAD_BYTES = 4096
#: How far a line of CSI is looked for behind a log (a serial port at 115200 baud takes 1.5 hours to write it), in which
#: parts, and by how much these overlap: a line is found by its first 100 characters.
_FURTHEST_BYTES, _PART_BYTES, _OVERLAP_BYTES = 1 << 26, 1 << 20, 256
#: Formats to try where detection gives up: by the end of the file's name, else for text and for other content.
_LIKELY = {
    ".csi": "picoscenes or feitcsi",
    ".pcap": "nexmon",
    ".dat": "intel5300 or atheros",
    ".bin": "raw_iq or dca1000",
    ".wav": "wav_iq",
}
_LIKELY_TEXT, _LIKELY_BINARY = "esp32_csv for lines of CSI, decaranging or radhar", "raw_iq, or arrays with a layout"


def reader_of(name: str) -> ModuleType:
    """Import the module that reads a format, a key of `READERS` or `HEADERLESS`."""
    known = READERS.get(name) or HEADERLESS[name]
    return importlib.import_module(f"{__name__}.{known.module}")


def detect(path: Path) -> str:
    """Detect the format of a file by its content; returns a key of `READERS`.

    Raises:
        ReadError: the file is missing, empty or of an unknown format.
    """
    head = read_bytes(path, _HEAD_BYTES)
    for name in READERS:
        if reader_of(name).sniff(head):
            return name
    if containers.sniff(head):
        raise ReadError(f"{path}: contains arrays without a description; name the format 'arrays' and give a layout=.")
    if _any_part(path, reader_of("esp32_csv").sniff_further):
        return "esp32_csv"
    is_text = all(byte >= 32 or byte in b"\t\r\n\x1b" for byte in plain_text(head))
    likely = _LIKELY.get(path.suffix.lower(), _LIKELY_TEXT if is_text else _LIKELY_BINARY)
    raise ReadError(
        f"{path}: unknown format (first bytes {head[:8].hex(' ')}{', text' if is_text else ''}); name it with --format "
        f"NAME (format= in Python), try {likely}; known are {', '.join(READERS)}, and, if you name them, "
        f"{', '.join(HEADERLESS)}."
    )


def _any_part(path: Path, sniff: Callable[[bytes], bool]) -> bool:
    """Is this true of any part of a file, up to `_FURTHEST_BYTES`?"""
    with path.open("rb") as file:
        before = b""
        while file.tell() < _FURTHEST_BYTES and (part := file.read(_PART_BYTES)):
            if sniff(before + part):
                return True
            before = part[-_OVERLAP_BYTES:]
    return False


def read(path: str | Path, format: str | None = None, **options: Any) -> list[Signal]:
    """Read every signal of a file: one per recording, window, transmitter or setup, depending on the format.

    Args:
        format: a key of `READERS` or `HEADERLESS`; None detects it by content.
        options: parameters that the format does not store (a carrier, a rate), keywords of the `read` of its module.

    Raises:
        ReadError: the file is missing, empty, truncated, malformed or of an unknown format, or an option is unknown.
    """
    path = Path(path)
    name = detect(path) if format is None else format
    if name not in READERS and name not in HEADERLESS:
        raise ReadError(f"no format {name!r}; known: {', '.join([*READERS, *HEADERLESS])}.")
    module = reader_of(name)
    known = list(inspect.signature(module.read).parameters)[1:]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ReadError(f"format {name} has no option {unknown[0]!r}; it takes {', '.join(known) or 'none'}.")
    found = module.read(path, **options)
    return found if isinstance(found, list) else [found]
