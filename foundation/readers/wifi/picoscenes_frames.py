"""Parse and check the frames of a PicoScenes file; `foundation.readers.wifi.picoscenes` turns them into signals.

Source of the layouts: `rxs_parsing_core` of the PicoScenes toolbox. Numbers are little-endian, structures packed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from foundation.errors import ReadError
from foundation.readers.wifi.intel_ax import CLOCK_OFFSET
from foundation.readers.wifi.records import ends_in_zeros, leave_out_incomplete

#: At byte 4 of every frame, after its length.
MAGIC = (0x20150315).to_bytes(4, "little")

FRAME = struct.Struct("<IIHB")
#: Bytes of the segment after this number, bytes of its name; after the name follows a version.
_SEGMENT = struct.Struct("<IB")
#: Fields of `Csi` by version of the segment: 2 adds `shift`, 3 `estimates`, 4 the firmware after the device.
_CSI = {
    1: struct.Struct("<HbHQQIHBBBBI"),
    2: struct.Struct("<HbHQQIHBBBBhI"),
    3: struct.Struct("<HbHQQIHBBBHBhI"),
    4: struct.Struct("<HBbHQQIHBBBHBhI"),
}
_CLOCK = struct.Struct("<HQ")  # the first two fields of RxSBasic in all of its versions: device, clock
_BASIC_VERSIONS = range(1, 6)
_AX_CLOCK_BYTE = 2 + CLOCK_OFFSET  # MVMExtra is a length of 2 bytes, then the header of the firmware
_CONTROL, _ACKNOWLEDGEMENTS = 1, (12, 13)


class Csi(NamedTuple):
    """The fields of a CSI segment before its values."""

    device: int
    packet_format: int
    mhz: int
    carrier_hz: int
    rate_hz: int
    spacing_hz: int
    tones: int
    streams: int
    rx: int
    extra_streams: int
    estimates: int
    antennas: int
    shift: int
    size: int


class Frame(NamedTuple):
    """One received packet.

    Attributes:
        at: byte offset of the frame.
        ticks: value of the clock in the segment that all devices have.
        firmware_ticks: value of the clock in the header of the firmware; None if the frame has no such header.
        transmitter: MAC address; empty for CTS and ACK packets, which do not name it.
        csi: the fields of the CSI segment.
        start: byte offset of the values; `csi.size` is their number of bytes.
    """

    at: int
    ticks: int
    firmware_ticks: int | None
    transmitter: bytes
    csi: Csi
    start: int


def scan(data: bytes, path: Path) -> tuple[list[Frame], int]:
    """Parse all frames with CSI, and count the frames without.

    An incomplete last frame, as of a recorder that was stopped, is left out, with a warning.

    Raises:
        ReadError: the chain is inconsistent, no frame is whole, or a segment is of an unknown version.
    """
    frames: list[Frame] = []
    at = without = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        magic = data[at + 4 : at + 8]
        if ends_in_zeros(path, data, at, whole=len(frames) + without):
            break
        if magic != MAGIC[: len(magic)] or (len(magic) == len(MAGIC) and end < at + FRAME.size):
            raise _damaged(path, at, f"its magic is {magic.hex()} and its length {end - at - 4}")
        if at + FRAME.size > len(data) or end > len(data):
            leave_out_incomplete(
                path, "the frame", at, max(end, at + FRAME.size), len(data), whole=len(frames) + without
            )
            break
        frame = parse_frame(data, at, end, path)
        if frame is None:
            without += 1
        else:
            frames.append(frame)
        at = end
    return frames, without


def parse_frame(data: bytes, at: int, end: int, path: Path) -> Frame | None:
    """Parse the frame between two byte offsets; None if it has no CSI.

    Raises:
        ReadError: it is inconsistent, or a segment is of an unknown version.
    """
    _, _, version, count = FRAME.unpack_from(data, at)
    if version != 1:
        raise _unknown(path, at, "frame", version)
    ticks = firmware_ticks = csi = None
    start = mpdu = at + FRAME.size
    for name, version, content, stop in _segments(data, mpdu, end, count, at, path):
        size, mpdu = stop - content, stop
        if name == b"RxSBasic":
            if version not in _BASIC_VERSIONS:
                raise _unknown(path, at, "RxSBasic segment", version)
            if size < _CLOCK.size:
                raise _damaged(path, at, f"its RxSBasic segment has {size} bytes")
            ticks = _CLOCK.unpack_from(data, content)[1]
        elif name == b"MVMExtra" and size >= _AX_CLOCK_BYTE + 4:
            firmware_ticks = int.from_bytes(data[content + _AX_CLOCK_BYTE : content + _AX_CLOCK_BYTE + 4], "little")
        elif name == b"CSI":
            csi, start = _csi(data, content, stop, version, at, path)
    if csi is None or ticks is None:
        return None
    return Frame(at, ticks, firmware_ticks, _transmitter(data[mpdu:end]), csi, start)


def _segments(
    data: bytes, start: int, end: int, count: int, at: int, path: Path
) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield name, version, first byte of the content and end of every segment between two byte offsets."""
    for _ in range(count):
        length, name_length = _SEGMENT.unpack_from(data, start) if start + _SEGMENT.size <= end else (0, 0)
        stop, content = start + 4 + length, start + 7 + name_length
        if stop > end or content > stop:
            raise _damaged(path, at, f"its segment at byte {start} does not fit")
        yield data[start + 5 : content - 2].rstrip(b"\0"), data[content - 2] | data[content - 1] << 8, content, stop
        start = stop


def _csi(data: bytes, content: int, stop: int, version: int, at: int, path: Path) -> tuple[Csi, int]:
    """Parse the fields of a CSI segment; also the byte offset of its values."""
    if version not in _CSI:
        raise _unknown(path, at, "CSI segment", version)
    layout = _CSI[version]
    if content + layout.size > stop:
        raise _damaged(path, at, f"its CSI segment has {stop - content} bytes")
    fields = list(layout.unpack_from(data, content))
    if version == 4:
        del fields[1]
    if version < 3:
        fields.insert(Csi._fields.index("estimates"), 1)
    if version < 2:
        fields.insert(Csi._fields.index("shift"), 0)
    csi = Csi(*fields)
    if content + layout.size + csi.size > stop:
        raise _damaged(path, at, f"its {csi.size} bytes of CSI do not fit in the segment")
    return csi, content + layout.size


def _transmitter(mpdu: bytes) -> bytes:
    """The second address of an 802.11 frame; empty for CTS and ACK, which have only one (IEEE 802.11-2020, 9.3.1)."""
    if len(mpdu) < 16 or (mpdu[0] >> 2 & 3 == _CONTROL and mpdu[0] >> 4 in _ACKNOWLEDGEMENTS):
        return b""
    return mpdu[10:16]


def _damaged(path: Path, at: int, what: str) -> ReadError:
    return ReadError(
        f"{path}: the frame at byte {at} is inconsistent, {what}; expected frames of PicoScenes with segments "
        f"inside: copy the file again or cut it to {at} bytes."
    )


def _unknown(path: Path, at: int, what: str, version: int) -> ReadError:
    return ReadError(
        f"{path}: the {what} at byte {at} has version {version}, which this reader does not know; record with another "
        "release of PicoScenes or report the file."
    )
