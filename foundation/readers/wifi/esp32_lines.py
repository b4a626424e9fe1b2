"""Parse one line of ESP32 CSI text: its fields and its buffer of numbers, and the header line that names the fields."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.readers.wifi import esp32_layouts
from foundation.readers.wifi.esp32_layouts import Layout

_TOOL = (
    "type,role,mac,rssi,rate,sig_mode,mcs,bandwidth,smoothing,not_sounding,aggregation,stbc,fec_coding,sgi,noise_floor,"
    "ampdu_cnt,channel,secondary_channel,local_timestamp,ant,sig_len,rx_state,real_time_set,real_timestamp,len,CSI_DATA"
)
_ESP_CSI = _TOOL.replace("role", "id").replace("real_time_set,real_timestamp,len,CSI_DATA", "len,first_word,data")
_ESP_CSI_C5 = (
    "type,seq,mac,rssi,rate,noise_floor,fft_gain,agc_gain,channel,local_timestamp,sig_len,rx_state,len,first_word,data"
)
_RADAR = (
    "type,seq,timestamp,taget_seq,target,mac,rssi,rate,sig_mode,mcs,bandwidth,smoothing,not_sounding,aggregation,stbc,"
    "fec_coding,sgi,noise_floor,ampdu_cnt,channel,secondary_channel,local_timestamp,ant,sig_len,rx_state,len,first_word,"
    "data"
)
#: Field names in the header line of the radar console -> the names of the other variants.
_ALIASES = {
    "cwb": "bandwidth",
    "channel_primary": "channel",
    "channel_secondary": "secondary_channel",
    "first_word_invalid": "first_word",
}
#: Number of fields -> their names, for files without a header line.
FIELDS = {len(names.split(",")): names.split(",") for names in (_TOOL, _ESP_CSI, _ESP_CSI_C5, _RADAR)}

MARK = b"CSI_DATA,"
_HEADER = re.compile(rb"\btype *,[\w ,]{0,60}\bmac *,[\w ,]{0,2000}")
#: Names of the column of the list; programs of the host append columns after it.
_LIST = ("CSI_DATA", "data")
_MAC = re.compile(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_NUMBERS = re.compile(rb"[-\d ,]*")
_INTEGERS = re.compile(rb"[ ,]*+(?:-?[0-9]{1,9}+(?:[ ,]++|$))*+")
#: Numbers that the ESP32-CSI-Tool prints by default, whatever the length field says, and the radar console's part.
_LLTF_BYTES = (128, 104)
_BYTE, _TWELVE_BITS = 1 << 7, 1 << 11
_LONGEST_LIST = 4096  # characters, also of the fields; the longest buffer is 612 numbers


@dataclass(frozen=True)
class Packet:
    """The content of a line.

    Attributes:
        transmitter: MAC address in lower case.
        channel: number of the primary channel; 0 means unknown.
        secondary: secondary channel: 0 none, 1 above, 2 below the primary.
        ticks: 32-bit clock of the chip, microseconds.
        first_word_invalid: the first four bytes of the buffer are invalid.
        layout: the subcarriers of the buffer.
        buffer: int8, of newer chips int16, pairs (imaginary, real).
    """

    transmitter: str
    channel: int
    secondary: int
    ticks: int
    first_word_invalid: bool
    layout: Layout
    buffer: NDArray[np.int8] | NDArray[np.int16]

    @property
    def kind(self) -> tuple[str, int, int, Layout]:
        """What the packets of one signal share."""
        return self.transmitter, self.channel, self.secondary, self.layout


class MalformedError(ValueError):
    """A line that cannot be parsed; the message completes "the line has ..."."""


def field_names(line: bytes) -> list[str] | None:
    """The field names up to the list, as in `FIELDS`, if this is a header line `type,...`, else None.

    A logger may print before it; columns that it names after the list are of a program of the host.
    """
    found = None if b"[" in line else _HEADER.search(line)
    if found is None:
        return None
    texts = [name.strip() for name in found[0].decode("ascii").split(",")]
    names = [_ALIASES.get(name, name) for name in texts]
    if not {"mac", "rssi", "len"} <= set(names):
        return None
    ends = [at for at, name in enumerate(names) if name in _LIST]
    return names[: ends[0] + 1] if ends else [*names, _LIST[-1]]


def parse(line: bytes, names: list[str] | None) -> Packet:
    """Parse one line from `CSI_DATA,` on.

    Args:
        names: its field names (`field_names`); None identifies the variant by the number of fields.

    Raises:
        MalformedError: the line is truncated, garbled, of an unknown variant or of an unknown layout.
    """
    front, opening, rest = line.partition(b"[")
    numbers, closing, _ = rest.partition(b"]")
    if not opening or not closing:
        raise MalformedError("no list between brackets")
    if len(front) > _LONGEST_LIST:
        raise MalformedError(f"{len(front)} characters before its list")
    texts = front.decode("ascii", "replace").rstrip('" ').split(",")  # the last is empty, in place of the list
    names = names or FIELDS.get(len(texts))
    if names is None or len(texts) != len(names):
        wanted = len(names) if names else " or ".join(map(str, FIELDS))
        raise MalformedError(f"{len(texts)} fields, expected {wanted}")
    fields = dict(zip(names, texts, strict=True))
    buffer = _buffer(numbers)
    length = _integer(fields, "len")
    if len(buffer) != length and not (len(buffer) in _LLTF_BYTES and len(buffer) < length):
        raise MalformedError(f"{len(buffer)} numbers where its length is {length}")
    secondary = _integer(fields, "secondary_channel", 0)
    if "secondary_channel" in fields:
        if not _fits(buffer, _BYTE):
            raise MalformedError("a number that is not a signed byte")
        layout = esp32_layouts.classic(len(buffer), secondary, _integer(fields, "bandwidth", 0) == 1)
    else:
        unpacked = esp32_layouts.unpack_12_bits(buffer)
        buffer = buffer if unpacked is None else unpacked
        layout = esp32_layouts.newer(buffer)
    if layout is None:
        raise MalformedError(f"{len(buffer)} numbers, a length that no documented layout has")
    channel = _integer(fields, "channel", 0)
    if not _MAC.fullmatch(fields["mac"].strip()) or not 0 <= channel < 256:
        raise MalformedError(f"the address {fields['mac'][:40]!r} on channel {channel}")
    return Packet(
        transmitter=fields["mac"].strip().lower(),
        channel=channel,
        secondary=secondary,
        # The counter is unsigned, but some receivers print it with a sign.
        ticks=_integer(fields, "local_timestamp" if "local_timestamp" in fields else "timestamp") & 0xFFFFFFFF,
        first_word_invalid=_integer(fields, "first_word", 1) != 0,
        layout=layout,
        buffer=buffer.astype(np.int8) if _fits(buffer, _BYTE) else buffer,
    )


class LineReader:
    """Packets of lines that come one after the other.

    Attributes:
        malformed: lines of CSI that cannot be parsed.
        repeated: lines that repeat the packet before them.
        first: what is wrong with the first malformed line; "" where there is none.
    """

    def __init__(self) -> None:
        self.malformed = self.repeated = self._number = 0
        self.first = ""
        self._names: list[str] | None = None
        self._before: Packet | None = None

    def packet(self, line: bytes) -> Packet | None:
        """The packet of a line; None for a header line, a line of something else, and what is counted."""
        self._number += 1
        if header := field_names(line):
            self._names = header
            return None
        at = line.rfind(MARK)
        if at < 0:
            return None
        try:
            packet = parse(line[at:], self._names)
        except MalformedError as error:
            self.malformed += 1
            self.first = self.first or f"the first, line {self._number}, has {error}"
            return None
        before, self._before = self._before, packet
        if before and packet.ticks == before.ticks and np.array_equal(packet.buffer, before.buffer):
            self.repeated += 1
            return None
        return packet


def _fits(numbers: NDArray[np.int64] | NDArray[np.int16], half: int) -> bool:
    """Are all numbers from -half to half - 1?"""
    return not len(numbers) or (-half <= int(numbers.min()) and int(numbers.max()) < half)


def _buffer(text: bytes) -> NDArray[np.int16]:
    if len(text) > _LONGEST_LIST or not _NUMBERS.fullmatch(text):
        raise MalformedError("something other than at most 612 numbers between its brackets")
    if not _INTEGERS.fullmatch(text):
        raise MalformedError("an entry that is not a number")
    numbers = np.fromstring(text.replace(b",", b" ").decode("ascii"), np.int64, sep=" ")
    if not _fits(numbers, _TWELVE_BITS):
        raise MalformedError("a number that is not a signed byte or 12-bit integer")
    return numbers.astype(np.int16)


def _integer(fields: dict[str, str], name: str, default: int | None = None) -> int:
    if name not in fields and default is not None:
        return default
    try:
        return int(fields[name])
    except (KeyError, ValueError):
        raise MalformedError(f"no integer in its field {name!r}") from None
