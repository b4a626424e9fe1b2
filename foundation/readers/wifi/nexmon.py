"""Read Broadcom Wi-Fi CSI from packet captures (`.pcap`) of nexmon_csi on the BCM4339, 43455c0, 4358 and 4366c0.

The patched firmware sends one UDP datagram to port 5500 per frame, receive core and spatial stream: 0x1111, RSSI and
frame control (or 0x1111 again), the transmitter's address, the frame's sequence number, core and stream (3 bits each),
Broadcom chanspec, chip, then one 32-bit word per FFT bin in FFT order (README of github.com/seemoo-lab/nexmon_csi).
`foundation.readers.wifi.nexmon_words` decodes the words.

csiread is not used: it needs chip and bandwidth from the caller and copies a packet into 4096 bytes whatever length it
claims. A frame narrower than the capture occupies only its part of the band (`nexmon_width`). Values of frames other
than 802.11n or ac are noise at the outer two subcarriers of each side.

The 16-bit integers of the 4339 and 43455c0 are conjugate: in captures of the 43455c0 the multipath precedes the direct
path and the upper half of a frame of 40 MHz is rotated by -90 degrees, where the standard transmits +90. The rotation
is undone accordingly; the values are left conjugate, as by every other program.

In the training fields of VHT all streams send the same pilots (IEEE 802.11-2016, 21.3.8.3.5): where the chip has
separated the streams, stream 0 holds their sum at the pilots and the others hold nothing.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.readers.wifi import pcap
from foundation.readers.wifi.clock import packet_times
from foundation.readers.wifi.grouping import by_kind, transmitter_label
from foundation.readers.wifi.nexmon_width import derotation, frames_by_width, occupied
from foundation.readers.wifi.nexmon_words import FORMATS, decode
from foundation.readers.wifi.ofdm import INDICES, SPACING_HZ, channel_hz
from foundation.readers.wifi.records import headers_at
from foundation.signal import Link, Signal

PORT = 5500
#: FFT bins -> subcarriers that carry energy.
_USED = {64: 56, 128: 114, 256: 242}
#: Subcarrier numbers of the pilots, on either side, of VHT at 80 MHz (IEEE 802.11-2016, 21.3.10.10).
PILOTS = (11, 39, 75, 103)
#: Chip code of the header -> chip; the tool's own capture of a 4358 has 0xdead.
CHIPS = {0x0001: "4339", 0x0065: "43455c0", 0x0003: "4358", 0xDEAD: "4358", 0x006A: "4366c0"}

MAGIC = 0x1111
#: A link is kept if it comes with this fraction of the frames.
_LINK_SHARE = 0.25
#: Datagrams processed at a time: copies of all would be larger than the file.
_BLOCK = 256
HEADER = np.dtype(
    [
        ("magic", "<u2"),
        ("rssi", "i1"),
        ("frame_control", "u1"),
        ("source", "u1", 6),
        ("sequence", "<u2"),
        ("link", "u1", 2),
        ("chanspec", "<u2"),
        ("chip", "<u2"),
    ]
)


def sniff(head: bytes) -> bool:
    """True for any packet capture; `read` raises an error if it holds no CSI."""
    return pcap.is_capture(head)


def read(path: Path, *, chip: str = "", autoscale: bool = True, interval_s: float = 0.0) -> list[Signal]:
    """Read one capture.

    One signal per transmitter and channel, the one with most frames first; with several, a warning says so and the
    label `transmitter` holds the address. A core and stream that was not received for a frame is invalid there. A core
    and stream that comes with fewer than a quarter of the frames, or repeats another bit for bit (as from a 4339, which
    has one antenna), is dropped, with a warning; so are malformed datagrams. With several streams at 80 MHz the pilots
    are invalid, see the module; at 20 and 40 MHz the file does not say whether its frames are VHT, so they stay valid.
    Steps of a clock that stands still or jumps are replaced by the median, with a warning.

    Where a frame is narrower than the capture, the subcarriers outside its part are invalid, with a warning.

    The standard rotates the upper half of a frame of 40 MHz by 90 degrees and the upper three quarters of one of 80 MHz
    by 180 (IEEE 802.11-2016, 21.3.7.5); these rotations are undone by the width of the frame, not of the capture, so
    that the phase is continuous across the sub-bands.

    Args:
        chip: a key of `FORMATS`, for firmware whose chip code is not in `CHIPS`; empty takes the code of the packets.
        autoscale: scale every datagram of the 4358 and 4366c0 to 10 bits and truncate to integers, as the tool does;
            False keeps the exact numbers and their level, which is common to all datagrams.
        interval_s: seconds between frames, in place of the recorded clock; 0 uses the clock.

    Returns:
        Per signal values [frames, cores * streams, 56, 114 or 242], links ordered (core, stream).

    Raises:
        ReadError: the file is missing, empty or malformed, or has no CSI of a known chip.
    """
    if chip and chip not in FORMATS:
        raise ReadError(f"{path}: unknown chip {chip!r}; expected one of {', '.join(FORMATS)}.")
    data = read_bytes(path)
    headers, times, offsets = usable(data, pcap.datagrams(data, PORT, path), chip, path)
    sources = headers["source"].copy().view("V6")[:, 0].tolist()
    names = [chip or CHIPS[code] for code in headers["chip"].tolist()]
    groups = by_kind(zip(sources, headers["chanspec"].tolist(), names, strict=True), "transmitter or channel", path)
    signals = []
    for (source, chanspec, name), rows in groups.items():
        bins = decode(words_at(data, offsets[rows], chanspec), FORMATS[name], autoscale)
        frames = frames_of(headers[rows], bins, name, path)
        time_s = packet_times(times[rows[frames.starts]], 1e-9, path, interval_s=interval_s)
        signal = signal_of(frames, time_s, chanspec, name, path)
        signals.append(signal.with_(labels=transmitter_label(source.hex(":"), groups)))
    return signals


def usable(
    data: bytes, found: pcap.Datagrams, chip: str, path: Path
) -> tuple[NDArray, NDArray[np.uint64], NDArray[np.int64]]:
    """Header, time in nanoseconds and byte offset of the first FFT bin of every valid datagram; warns of the others.

    Args:
        found: datagrams to `PORT`, whose payloads lie in `data`.

    Raises:
        ReadError: none is valid.
    """
    long = found.size >= HEADER.itemsize
    if not long.any():
        raise _no_csi(path, found.packets)
    headers = headers_at(data, found.offset[long], HEADER)
    ours = headers["magic"] == MAGIC
    if not ours.any():
        raise _no_csi(path, found.packets)
    codes = headers["chip"]
    known = ours if chip else ours & np.isin(codes, list(CHIPS))
    if not known.any():
        raise ReadError(
            f"{path}: chip code {int(codes[ours][0]):#06x}; expected one of "
            f"{', '.join(f'{code:#06x} ({name})' for code, name in CHIPS.items())}: name the chip, "
            "chip=..."
        )
    bins = _bins(headers["chanspec"])
    size = found.size[long] - HEADER.itemsize
    # A few bytes after the last bin (a checksum) are common; twice the size is another bandwidth.
    valid = known & (bins > 0) & (size >= 4 * bins) & (size < 8 * bins)
    if not valid.any():
        raise ReadError(
            f"{path}: none of its {int(ours.sum())} CSI datagrams has the size that its channel implies; expected 256, "
            "512 or 1024 bytes of CSI for 20, 40 or 80 MHz: record with a snapshot length of at least 1100 bytes."
        )
    if not valid.all():
        warnings.warn(
            f"{path}: dropped {int((~valid).sum())} of {len(valid)} datagrams of another kind, size or chip",
            stacklevel=3,
        )
    return headers[valid], found.time_ns[long][valid], found.offset[long][valid] + HEADER.itemsize


def _no_csi(path: Path, packets: int) -> ReadError:
    return ReadError(
        f"{path}: none of its {packets} packets is CSI of nexmon_csi (UDP to port {PORT}, first bytes 11 11); record "
        f"with 'tcpdump dst port {PORT}' while the extraction is on."
    )


def words_at(data: bytes, offsets: NDArray[np.int64], chanspec: int) -> NDArray[np.uint32]:
    """The words [datagrams, FFT bins] that start at these byte offsets."""
    size = 4 * int(_bins(np.array(chanspec)))
    return sliding_window_view(np.frombuffer(data, np.uint8), size)[offsets].view("<u4")


def _bins(chanspec: NDArray) -> NDArray[np.int64]:
    """FFT bins of the bandwidth of chanspecs; 0 if it is not 20, 40 or 80 MHz."""
    return np.asarray(np.array([0, 0, 64, 128, 256, 0, 0, 0])[chanspec >> 11 & 7])


def _carrier_hz(chanspec: int) -> float:
    """Centre frequency of the whole channel; 0 in a band that is neither 2.4 nor 5 GHz."""
    band = chanspec >> 14
    return channel_hz(chanspec & 255, is_5ghz=band == 3) if band in (0, 3) else 0.0


class Links(NamedTuple):
    """The cores and streams of a capture.

    Attributes:
        codes: those whose datagrams make the frames.
        distinct: indices in `codes` of those that do not repeat an earlier one.
    """

    codes: NDArray[np.uint8]
    distinct: list[int]


class Frames(NamedTuple):
    """Frames of one transmitter and channel.

    Attributes:
        starts: index of the first datagram of every frame.
        links: of the capture; values and valid [frames, distinct links, subcarriers].
    """

    starts: NDArray[np.int64]
    links: Links
    values: NDArray[np.complex64]
    valid: NDArray[np.bool_]


def link_codes(headers: NDArray) -> NDArray[np.uint8]:
    """Core and stream of every datagram as one number."""
    # The byte order of core and stream differs between firmwares; the other byte is 0.
    pair = headers["link"][:, 0] | headers["link"][:, 1]
    return np.asarray((pair & 7) << 3 | (pair >> 3 & 7))


def frames_of(
    headers: NDArray, bins: NDArray[np.complex64], chip: str, path: Path, links: Links | None = None
) -> Frames:
    """Frames of datagrams of one transmitter and channel, bins [datagrams, FFT bins].

    Args:
        links: of the frames before; None: they are found in these, see `read`.
    """
    every = link_codes(headers)
    kept = _frequent_links(headers["sequence"], every, path) if links is None else np.isin(every, links.codes)
    rows, codes = np.flatnonzero(kept), every[kept]
    is_start = frame_starts(headers["sequence"][kept], codes)
    known = np.unique(codes) if links is None else links.codes
    frame, column = np.cumsum(is_start) - 1, np.searchsorted(known, codes)
    indices = INDICES[_USED[bins.shape[1]]]
    values = np.zeros((int(is_start.sum()), len(known), len(indices)), np.complex64)
    for at in range(0, len(rows), _BLOCK):
        block = slice(at, at + _BLOCK)
        values[frame[block], column[block]] = bins[rows[block]][:, indices]
    valid = np.zeros(values.shape, bool)
    valid[frame, column] = True
    links = links or Links(known, _distinct(values, path))
    values, valid = values[:, links.distinct], valid[:, links.distinct]
    if len(indices) == 242 and len(np.unique(known[links.distinct] & 7)) > 1:
        valid[:, :, np.isin(np.abs(indices), PILOTS)] = False
    # 16-bit integers are conjugate, see the module, so that they are rotated the other way.
    _undo_width(values, valid, indices, 1j if FORMATS[chip] is None else -1j, path)
    return Frames(rows[is_start], links, values, valid)


def signal_of(frames: Frames, time_s: NDArray[np.float64], chanspec: int, chip: str, path: Path) -> Signal:
    """The signal of frames at these times [frames]."""
    indices = INDICES[frames.values.shape[2]]
    codes = frames.links.codes[frames.links.distinct]
    return Signal(
        values=frames.values,
        valid=frames.valid,
        time_s=time_s,
        links=tuple(Link(tx=int(code) & 7, rx=int(code) >> 3) for code in codes),
        frequency_hz=indices * np.float64(SPACING_HZ),
        kind="csi",
        carrier_hz=_carrier_hz(chanspec),
        bandwidth_hz=int(_bins(np.array(chanspec))) * SPACING_HZ,
        device=f"Broadcom BCM{chip}",
        session=path.stem,
    )


def _frequent_links(sequence: NDArray, codes: NDArray, path: Path) -> NDArray[np.bool_]:
    """Per datagram: does its core and stream come with a quarter of the frames? If none does, keep the most common."""
    frames = int(frame_starts(sequence, codes).sum())
    links, numbers = np.unique(codes, return_counts=True)
    frequent = links[numbers >= _LINK_SHARE * frames]
    kept = np.isin(codes, frequent if len(frequent) else links[np.argmax(numbers)])
    if not kept.all():
        warnings.warn(
            f"{path}: dropped {int((~kept).sum())} of {len(codes)} datagrams whose core and stream come with fewer "
            f"than a quarter of the {frames} frames",
            stacklevel=4,
        )
    return kept


def _distinct(values: NDArray[np.complex64], path: Path) -> list[int]:
    """The links [packets, link, subcarrier] that do not repeat an earlier one."""
    kept: list[int] = []
    for link in range(values.shape[1]):
        if not any(np.array_equal(values[:, link], values[:, other]) for other in kept):
            kept.append(link)
    if len(kept) < values.shape[1]:
        warnings.warn(
            f"{path}: dropped {values.shape[1] - len(kept)} of {values.shape[1]} links of a core and stream that "
            "repeat another bit for bit",
            stacklevel=4,
        )
    return kept


def frame_starts(sequence: NDArray, codes: NDArray) -> NDArray[np.bool_]:
    """Per datagram: is it the first of its frame? A new sequence number, or a repeated core and stream, starts one."""
    starts = np.zeros(len(codes), bool)
    current, seen = -1, 0
    for row, (number, code) in enumerate(zip(sequence.tolist(), codes.tolist(), strict=True)):
        if number != current or seen >> code & 1:
            starts[row], current, seen = True, number, 0
        seen |= 1 << code
    return starts


def _undo_width(
    values: NDArray[np.complex64],
    valid: NDArray[np.bool_],
    indices: NDArray[np.int64],
    quarter_turn: complex,
    path: Path,
) -> None:
    """Undo the rotation of every frame by its width and mark what it does not occupy as invalid, in place."""
    narrow = 0
    for width, rows in frames_by_width(values, indices).items():
        factors, inside = derotation(indices, width, quarter_turn), occupied(indices, width)
        narrow += 0 if inside.all() else len(rows)
        for at in range(0, len(rows), _BLOCK):
            values[rows[at : at + _BLOCK]] *= factors
            valid[rows[at : at + _BLOCK]] &= inside
    if narrow:
        warnings.warn(
            f"{path}: {narrow} of {len(values)} frames are narrower than the capture; the subcarriers outside of their "
            "part hold noise and are marked invalid",
            stacklevel=4,
        )
