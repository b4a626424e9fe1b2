"""Read IQ recordings in WAV files of two channels, I left and Q right, of HDSDR, SDR#, SDRuno, SDR++ and SDR Console.

Sources: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, 1991) and its Revision 3 (1994); for files
beyond 4 GB, RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088), whose chunk `ds64` holds the sizes. PCM of 8, 16, 24 and 32
bits, floats of 32 and 64, also as WAVE_FORMAT_EXTENSIBLE. The sample rate is in the header; the centre frequency is in
the `auxi` chunk if the program wrote one, see `auxiliary_carrier_hz`.

A stereo sound recording has the same format and cannot be told apart.
"""

from __future__ import annotations

import math
import re
import struct
import warnings
from pathlib import Path

import numpy as np

from foundation.errors import ReadError
from foundation.readers.files import given_or_stated, plain_text, read_bytes, whole_records
from foundation.readers.iq.baseband import DATATYPES, decode, signal_of
from foundation.signal import Signal

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FORMATS = {
    (_PCM, 8): "cu8",
    (_PCM, 16): "ci16_le",
    (_PCM, 24): "ci32_le",  # after conversion to 32 bits
    (_PCM, 32): "ci32_le",
    (_FLOAT, 32): "cf32_le",
    (_FLOAT, 64): "cf64_le",
}
#: Names of the file type: with 32-bit sizes, and with 64-bit sizes in the chunk `ds64`.
_SHORT, _LONG = b"RIFF", (b"RF64", b"BW64")
#: Bytes of an `auxi` chunk up to the end of the centre frequency: two SYSTEMTIME of 16 bytes, uint32 hertz.
_AUXILIARY = struct.Struct("<32xI")
_XML_CARRIER = re.compile(rb"""\b(?:RadioCenterFreq|CenterFrequency|CentreFrequency)\s*(?:=\s*["']|>)\s*([^"'<>]*)""")
#: Sizes of a data chunk whose recorder was not stopped properly.
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)


def sniff(head: bytes) -> bool:
    """True for a WAV file whose format chunk, within `head`, has two channels."""
    if not _is_wav(head):
        return False
    at = head.find(b"fmt ", 12)
    return at >= 0 and head[at + 10 : at + 12] == b"\x02\x00"


def read(path: Path, *, carrier_hz: float | None = None) -> Signal:
    """Read one recording; what is incomplete at its end is left out, with a warning.

    Args:
        carrier_hz: centre frequency; None takes that of the `auxi` chunk, or 0 (unknown). Where both are there and
            differ, the given one is used, with a warning.

    Returns:
        Values [samples, 1, 1], integers scaled to full scale.

    Raises:
        ReadError: the file is missing, empty, not a WAV file, has no sample, or not two channels of a known format.
    """
    where = str(path)
    chunks = _chunks(read_bytes(path), where)
    bits, datatype, rate = _format(chunks[b"fmt "], where)
    data = _widen(chunks[b"data"], where) if bits == 24 else chunks[b"data"]
    stated = auxiliary_carrier_hz(bytes(chunks.get(b"auxi", b"")))
    return signal_of(
        decode(data, DATATYPES[datatype], 1, where),
        float(rate),
        where,
        carrier_hz=given_or_stated(carrier_hz, stated, "carrier_hz", where),
        session=path.stem,
    )


def auxiliary_carrier_hz(chunk: bytes) -> float:
    """The centre frequency in an `auxi` chunk; 0 if there is none.

    HDSDR, SDR# and SDRuno write a structure that begins with two SYSTEMTIME and uint32 hertz; SDR Console (in UTF-16)
    and UberSDR (in UTF-8) write XML with an attribute `RadioCenterFreq`.
    """
    text = plain_text(chunk).lstrip(b"\0 \t\r\n")
    if text.startswith(b"<") or b"RadioCenterFreq" in text:
        found = _XML_CARRIER.search(text)
        try:
            hertz = float(found[1]) if found else 0.0
        except ValueError:
            hertz = 0.0
        return hertz if math.isfinite(hertz) and hertz > 0 else 0.0
    return float(_AUXILIARY.unpack_from(chunk)[0]) if len(chunk) >= _AUXILIARY.size else 0.0


def _is_wav(data: bytes) -> bool:
    return (data[:4] == _SHORT or data[:4] in _LONG) and data[8:12] == b"WAVE"


def _chunks(data: bytes, where: str) -> dict[bytes, memoryview]:
    """The first chunk of each name, cut to the end of the file; `fmt ` and `data` are always present."""
    if not _is_wav(data):
        raise ReadError(f"{where}: does not begin with RIFF, RF64 or BW64 and WAVE; expected a WAV file.")
    found: dict[bytes, memoryview] = {}
    at, long_size = 12, None
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"ds64" and data[:4] in _LONG and size >= 16 and at + 24 <= len(data):
            (long_size,) = struct.unpack_from("<Q", data, at + 16)
        if name == b"data" and size == 0xFFFFFFFF and long_size is not None:
            size = long_size
        is_open = name == b"data" and size in _UNKNOWN_SIZES and at + 8 + size != len(data)
        if is_open or at + 8 + size > len(data):
            what = "has no size" if is_open else f"should end at byte {at + 8 + size}"
            warnings.warn(
                f"{where}: the chunk {name!r} at byte {at} {what}, so the recorder was not stopped properly or the "
                f"file is truncated; what there is up to the end of the file, byte {len(data)}, is read",
                stacklevel=3,
            )
            size = len(data) - at - 8
        found.setdefault(name, memoryview(data)[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    missing = [name.decode() for name in (b"fmt ", b"data") if name not in found]
    if missing:
        raise ReadError(f"{where}: has no chunk {missing[0]!r} in {len(data)} bytes; it is truncated, copy it again.")
    return found


def _format(chunk: memoryview, where: str) -> tuple[int, str, int]:
    """Parse (bits of a component, data type, sample rate) from a format chunk."""
    if len(chunk) < 16:
        raise ReadError(f"{where}: the format chunk has {len(chunk)} bytes; expected at least 16, copy the file again.")
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)
    if channels != 2:
        raise ReadError(f"{where}: has {channels} channels; expected an IQ recording of 2, I and Q.")
    if (tag, bits) not in _FORMATS or align != 2 * bits // 8:
        raise ReadError(
            f"{where}: format {tag:#06x} with {bits} bits in blocks of {align} bytes; expected PCM (1) of 8, 16, 24 or "
            "32 bits or float (3) of 32 or 64: save it uncompressed."
        )
    return bits, _FORMATS[tag, bits], rate


def _widen(data: memoryview, where: str) -> bytes:
    """Convert 24-bit little-endian integers to 32 bits with the same full scale."""
    count = 2 * whole_records(len(data), 6, where, "sample")
    wide = np.zeros((count, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8, 3 * count).reshape(-1, 3)
    return wide.tobytes()
