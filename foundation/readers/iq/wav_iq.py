"""Read IQ recordings in WAV files of two channels, I left and Q right, of HDSDR, SDR#, SDRuno and SDR++.

Source: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, 1991) and its Revision 3 (1994). PCM of 8,
16, 24 and 32 bits, floats of 32 and 64, also as WAVE_FORMAT_EXTENSIBLE. The sample rate is in the header; the centre
frequency is in the `auxi` chunk if the program wrote one: two SYSTEMTIME of 16 bytes, then uint32 hertz.

A stereo sound recording has the same format and cannot be told apart.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
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
#: Byte offset of the centre frequency in the `auxi` chunk.
_FREQUENCY_AT = 32
#: Sizes of a data chunk whose recorder was not stopped properly.
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)


def sniff(head: bytes) -> bool:
    """True for a WAV file whose format chunk, within `head`, has two channels."""
    if not _is_wav(head):
        return False
    at = head.find(b"fmt ", 12)
    return at >= 0 and head[at + 10 : at + 12] == b"\x02\x00"


def read(path: Path, *, carrier_hz: float = 0.0) -> Signal:
    """Read one recording.

    Args:
        carrier_hz: centre frequency of files without an `auxi` chunk; 0 means unknown.

    Returns:
        Values [samples, 1, 1], integers scaled to full scale.

    Raises:
        ReadError: the file is missing, empty, truncated, not a WAV file, or not of two channels of a known format.
    """
    where = str(path)
    chunks = _chunks(read_bytes(path), where)
    bits, datatype, rate = _format(chunks[b"fmt "], where)
    data = _widen(chunks[b"data"], where) if bits == 24 else chunks[b"data"]
    auxiliary = chunks.get(b"auxi", memoryview(b""))[_FREQUENCY_AT : _FREQUENCY_AT + 4]
    stated = int.from_bytes(auxiliary, "little")
    samples = decode(data, DATATYPES[datatype], 1, where)
    return signal_of(samples, float(rate), where, carrier_hz=float(stated) or carrier_hz, session=path.stem)


def _is_wav(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"


def _chunks(data: bytes, where: str) -> dict[bytes, memoryview]:
    """The first chunk of each name, after checking the whole chain; `fmt ` and `data` are always present."""
    if not _is_wav(data):
        raise ReadError(f"{where}: does not begin with RIFF and WAVE; expected a WAV file (RF64 is not supported).")
    found: dict[bytes, memoryview] = {}
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"data" and size in _UNKNOWN_SIZES:
            raise ReadError(
                f"{where}: the data chunk at byte {at} has no size, so the recorder was not stopped properly; write "
                f"the size {len(data) - at - 8} into bytes {at + 4} to {at + 7} if the samples go to the file's end."
            )
        if at + 8 + size > len(data):
            raise ReadError(
                f"{where}: truncated, the chunk {name!r} at byte {at} should end at byte {at + 8 + size} but the file "
                f"has {len(data)} bytes; copy it again."
            )
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
    if len(data) % 3:
        raise ReadError(f"{where}: {len(data)} bytes are not an integer number of 24-bit samples; copy the file again.")
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.tobytes()
