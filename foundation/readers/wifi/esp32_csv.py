"""Read ESP32 Wi-Fi CSI as text lines `CSI_DATA,...,[...]`, saved from the serial port (`.csv`).

Four variants: the ESP32-CSI-Tool (github.com/StevenMHernandez/ESP32-CSI-Tool; 26 fields, numbers between spaces), the
receivers of Espressif's esp-csi (25 fields, numbers between commas, quoted), its receiver for the newer chips C5, C6
and C61 (15 fields), and its radar console (28 fields). A header line `type,...` names the fields; without one the
number of fields identifies the variant. A logger may have printed before a line, and a program of the host appended
columns. All other lines, such as the log of the firmware, are ignored. The text may be UTF-16, as PowerShell writes it.

The numbers are signed bytes, in a legacy field of the C5 and C61 also of 12 bits, per subcarrier the imaginary part,
then the real part (`esp32_layouts` has the order). The automatic gain of the chip is not corrected, so levels change
between packets. At 40 MHz the chip leaves the rotation of the upper half of the band in: real frames of the ESP32
(espressif/esp-csi issue 7), the C5 and the C6 jump by 82 to 95 degrees at the carrier, with equal slopes on both sides.
It is undone (`ofdm.undo_ht40_rotation`).
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import plain_text, read_bytes
from foundation.readers.wifi.clock import packet_times
from foundation.readers.wifi.esp32_lines import MARK, LineReader, Packet, field_names
from foundation.readers.wifi.grouping import by_kind, transmitter_label
from foundation.readers.wifi.ofdm import channel_hz, undo_ht40_rotation
from foundation.signal import Link, Signal

#: Of either byte order, as another character follows.
_MARK_UTF16 = MARK.decode().encode("utf-16-le")
_LINE = re.compile(rb"CSI_DATA,[^,\n]{0,40}, *[0-9A-Fa-f]{2}:")
#: Highest used subcarrier of a 20 MHz channel: of the legacy (L-LTF) and of the HT training field.
LLTF_HIGHEST, _HT_HIGHEST = 26, 28


def sniff(head: bytes) -> bool:
    """True for a header line of a known kind or a line of CSI."""
    text = plain_text(head)
    return _LINE.search(text) is not None or any(field_names(line) for line in text.splitlines())


def sniff_further(part: bytes) -> bool:
    """True if a part of a file, from any byte on, has a line of CSI: a log of any length may come before the first."""
    if MARK not in part and _MARK_UTF16 not in part:  # at a gigabyte per second
        return False
    return _LINE.search(part.replace(b"\0", b"")) is not None  # without its zeros UTF-16 is ASCII


def read(path: Path, *, carrier_hz: float = 0.0, interval_s: float = 0.0) -> list[Signal]:
    """Read one file.

    One signal per transmitter, channel and buffer layout, the one with most packets first; with several, a warning says
    so and the label `transmitter` holds the address. Where the chip marks the first four bytes of a buffer as invalid,
    and in lines without that mark (only older chips write them), the subcarriers there are invalid.

    Lines that are truncated, garbled or of an unknown layout are dropped, with a warning; so are repetitions of the
    previous line. Steps of a clock that stands still or jumps are replaced by the median, with a warning.

    Args:
        carrier_hz: carrier frequency; 0 takes the channel of the lines. Those of the C5, C6 and C61 do not give the
            secondary channel: their carrier at 40 MHz is then the centre of the primary channel, 10 MHz off.
        interval_s: seconds between packets, in place of the clock of the chip; 0 uses the clock.

    Returns:
        Per signal values [packets, 1, subcarriers]: 52 (legacy; 26 in 12 bits), 56 (HT, 20 MHz), 114 (HT, 40 MHz) or
        242 (HE).

    Raises:
        ReadError: the file is missing, empty or has no valid line of CSI or no running clock.
    """
    packets = _packets(plain_text(read_bytes(path)), path)
    ticks = np.array([packet.ticks for packet in packets], np.uint64)
    time = packet_times(ticks, 1e-6, path, bits=32, interval_s=interval_s)
    groups = by_kind([packet.kind for packet in packets], "transmitter, channel or layout", path)
    signals = []
    for (transmitter, *_), rows in groups.items():
        own = [packets[row] for row in rows]
        signal = signal_of(own, time[rows] - time[rows[0]], carrier_hz, path, highest_used(own))
        signals.append(signal.with_(labels=transmitter_label(transmitter, groups)))
    return signals


def _packets(data: bytes, path: Path) -> list[Packet]:
    """Parse every valid line of CSI; warns of the others."""
    reader = LineReader()
    packets = [packet for line in io.BytesIO(data) if (packet := reader.packet(line)) is not None]
    malformed, repeated, first = reader.malformed, reader.repeated, reader.first
    if not packets:
        raise _no_packet(malformed, first, path)
    lines = len(packets) + malformed + repeated
    if malformed:
        warnings.warn(
            f"{path}: dropped {malformed} of {lines} lines of CSI that are truncated, garbled or of an unknown layout; "
            f"{first}",
            stacklevel=3,
        )
    if repeated:
        warnings.warn(f"{path}: dropped {repeated} of {lines} lines that repeat the previous line", stacklevel=3)
    return packets


def _no_packet(malformed: int, first: str, path: Path) -> ReadError:
    if not malformed:
        return ReadError(
            f"{path}: no line 'CSI_DATA,...' of an ESP32 in it; expected what the firmware printed on the serial port."
        )
    return ReadError(f"{path}: all {malformed} lines of CSI are truncated, garbled or of an unknown layout, {first}.")


def highest_used(packets: list[Packet]) -> int:
    """Highest subcarrier, on either side, that carries energy in packets of one layout."""
    layout = packets[0].layout
    highest = layout.used[1]
    if highest != _HT_HIGHEST:
        return highest
    # The legacy training field ends at 26; a channel filter may spread it to 27, never to 28.
    edge = layout.start + np.flatnonzero(np.abs(layout.indices) == _HT_HIGHEST)
    at = np.concatenate([2 * edge, 2 * edge + 1])
    return _HT_HIGHEST if any(packet.buffer[at].any() for packet in packets) else LLTF_HIGHEST


def signal_of(
    packets: list[Packet], time_s: NDArray[np.float64], carrier_hz: float, path: Path, highest: int
) -> Signal:
    """The signal of packets of one transmitter, channel and layout, up to this subcarrier on either side."""
    channel, secondary, layout = packets[0].channel, packets[0].secondary, packets[0].layout
    part = slice(2 * layout.start, 2 * (layout.start + len(layout.indices)))
    pairs = np.stack([packet.buffer[part] for packet in packets]).reshape(len(packets), -1, 2)
    order = layout.order(highest)
    values = np.empty((len(packets), 1, len(order)), np.complex64)
    values.imag[:, 0], values.real[:, 0] = pairs[:, order, 0], pairs[:, order, 1]
    first_word_invalid = np.array([packet.first_word_invalid for packet in packets])
    if layout.bandwidth_hz == 40e6:
        undo_ht40_rotation(values, np.array(layout.indices)[order])
    valid = ~(first_word_invalid[:, None] & (order + layout.start < 2))[:, None]
    if not carrier_hz and channel > 0:
        carrier_hz = channel_hz(channel, is_5ghz=channel > 14)
        carrier_hz += {1: 10e6, 2: -10e6}.get(secondary, 0.0) if layout.bandwidth_hz == 40e6 else 0.0
    return Signal(
        values=values,
        valid=valid,
        time_s=time_s,
        links=(Link(),),
        frequency_hz=np.array(layout.indices)[order] * layout.spacing_hz,
        kind="csi",
        carrier_hz=carrier_hz,
        bandwidth_hz=layout.bandwidth_hz,
        device="ESP32",
        session=path.stem,
    )
