"""Capture and file formats -> `Signal`. One module per format, each with `sniff(head) -> bool` and `read(path)`.

A format is recognised by its content, never by its extension.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.signal import Signal

#: Format (a module of this package) -> what it is. The order is the order of detection: the surest mark first.
READERS: dict[str, str] = {
    "esp32_npy": "ESP32 Wi-Fi CSI amplitudes in a NumPy .npy file",
    "decaranging": "DecaRanging log of UWB channel impulse responses, plain or gzip",
    "intel5300": "Intel 5300 Wi-Fi CSI (.dat of the Linux 802.11n CSI Tool)",
}
_HEAD_BYTES = 4096


def detect(path: Path) -> str:
    """The name of the format of a file, a key of `READERS`.

    Raises:
        ReadError: the file is missing, empty or of no known format.
    """
    head = read_bytes(path, _HEAD_BYTES)
    for name in READERS:
        if importlib.import_module(f"{__name__}.{name}").sniff(head):
            return name
    known = "; ".join(f"{name}: {description}" for name, description in READERS.items())
    raise ReadError(
        f"{path}: the content is of no known format (first bytes {head[:8].hex(' ')}); expected one of: {known}."
    )


def read(path: str | Path) -> list[Signal]:
    """Every signal of a file, whatever its format: one for a recording, one per window for windowed files.

    What a format does not store (a carrier, a rate) takes the default of its own reader, see the modules named in
    `READERS`; call those directly to say better.

    Raises:
        ReadError: the file is missing, empty, of no known format, truncated or malformed.
    """
    path = Path(path)
    found = importlib.import_module(f"{__name__}.{detect(path)}").read(path)
    return found if isinstance(found, list) else [found]
