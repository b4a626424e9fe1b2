"""Capture and file formats -> `Signal`. One module per format, each with `sniff(head) -> bool` and `read(path)`, in the
folder of what it measures.

A format is recognised by its content, never by its extension.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from foundation.errors import ReadError
from foundation.readers.arrays import containers
from foundation.readers.files import read_bytes
from foundation.signal import Signal

#: Format -> what it is. The order is the order of detection: the surest mark first.
READERS: dict[str, str] = {
    "ewine": "eWINE UWB impulse responses of a DWM1000 (CSV)",
    "picoscenes": "PicoScenes Wi-Fi CSI (.csi): Intel AX200, AX210 and 5300, QCA9300, USRP",
    "feitcsi": "FeitCSI Wi-Fi CSI (.csi): Intel AX200 and AX210, HT, VHT and HE, 20 to 160 MHz",
    "nexmon": "Broadcom Wi-Fi CSI (.pcap of nexmon_csi on the BCM4339, 43455c0, 4358 and 4366c0)",
    "powder": "POWDER radio fingerprints (.bin beside a .json that describes it; name the .json)",
    "sigmf": "SigMF recordings (.sigmf-meta beside .sigmf-data, or a .sigmf archive)",
    "wav_iq": "IQ recordings in WAV files (I left, Q right)",
    "esp32_npy": "ESP32 Wi-Fi CSI amplitudes in a NumPy .npy file",
    "decaranging": "DecaRanging log of UWB channel impulse responses, plain or gzip",
    "deepmimo": "DeepMIMO 4 ray-traced scenarios (.npz; a folder of matrices must be named), setup= for the arrays",
    "radhar": "RadHAR radar point clouds (text of ROS messages, or gathered in .npz)",
    "uji_indoorloc": "Wi-Fi RSSI fingerprints in the layout of UJIIndoorLoc (CSV)",
    "ble_rss": "BLE RSSI fingerprints and walks (CSV)",
    "esp32_csv": "ESP32 Wi-Fi CSI text lines (.csv of the ESP32-CSI-Tool and esp-csi)",
    "atheros": "Atheros Wi-Fi CSI (.dat of the Atheros CSI Tool)",
    "intel5300": "Intel 5300 Wi-Fi CSI (.dat of the Linux 802.11n CSI Tool)",
    "rml_pickle": "RadioML pickles of 2016 and 2022 (read without unpickling)",
    "radcom": "RadCom radar and communication waveforms (HDF5)",
}
#: Formats whose files say nothing of themselves: the caller names them, with the numbers that the file lacks.
HEADERLESS: dict[str, str] = {
    "raw_iq": "raw interleaved IQ samples; datatype=cf32_le, ci16_le, ... and sample_rate_hz=",
    "arrays": "arrays in .mat, HDF5, .npz or .npy; layout=FILE says what they hold, such as one of shards/layouts/",
    "dca1000": "TI mmWave radar samples of a DCA1000 (.bin); its set-up in a .json beside it, or config=",
}
_FOLDERS: dict[str, tuple[str, ...]] = {
    "wifi": ("picoscenes", "feitcsi", "nexmon", "esp32_npy", "esp32_csv", "atheros", "intel5300"),
    "iq": ("powder", "sigmf", "wav_iq", "rml_pickle", "radcom", "raw_iq"),
    "radar": ("radhar", "dca1000"),
    "rssi": ("uji_indoorloc", "ble_rss"),
    "uwb": ("ewine", "decaranging"),
    "arrays": ("deepmimo",),
}
_MODULES = {name: f"{folder}.{name}" for folder, names in _FOLDERS.items() for name in names} | {
    "arrays": "arrays.reader"
}
_HEAD_BYTES = 4096


def reader_of(name: str) -> ModuleType:
    """The module that reads a format, a key of `READERS` or `HEADERLESS`; each is imported when it is needed."""
    return importlib.import_module(f"{__name__}.{_MODULES[name]}")


def detect(path: Path) -> str:
    """The name of the format of a file, a key of `READERS`.

    Raises:
        ReadError: the file is missing, empty or of no known format.
    """
    head = read_bytes(path, _HEAD_BYTES)
    for name in READERS:
        if reader_of(name).sniff(head):
            return name
    if containers.sniff(head):
        raise ReadError(f"{path}: holds arrays but not what they mean; name the format 'arrays' and give it a layout=.")
    raise ReadError(
        f"{path}: the content is of no known format (first bytes {head[:8].hex(' ')}); known are {', '.join(READERS)}, "
        f"and, if you name them, {', '.join(HEADERLESS)}."
    )


def read(path: str | Path, format: str | None = None, **options: Any) -> list[Signal]:
    """Every signal of a file: one for a recording, several where a file holds windows, transmitters or set-ups.

    Args:
        format: a key of `READERS` or `HEADERLESS`; by default what the content tells.
        options: what the format does not store (a carrier, a rate), as its own module's `read` names it.

    Raises:
        ReadError: the file is missing, empty, of no known format, truncated or malformed; an unknown format or option.
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
