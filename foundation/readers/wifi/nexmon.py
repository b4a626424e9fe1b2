"""Broadcom Wi-Fi CSI: packet captures (`.pcap`) of nexmon_csi on the BCM4339, 43455c0, 4358 and 4366c0.

The patched firmware sends one UDP datagram to port 5500 per frame, receive core and spatial stream: 0x1111, RSSI and
frame control (or 0x1111 again), the transmitter's address, the frame's sequence number, core and stream (3 bits each),
Broadcom chanspec, chip, then one 32-bit word per FFT bin in FFT order (README of github.com/seemoo-lab/nexmon_csi).
`foundation.readers.wifi.nexmon_words` decodes the words.

Read here and not by csiread, which must be told chip and bandwidth and copies a packet into 4096 bytes whatever length
it claims. A frame narrower than the capture fills only its part of the band; the file does not say which, and the
rest is noise. Values of frames that are not 802.11n or ac are noise at the outer two subcarriers of each side.

In the training fields of VHT all streams send the same on the pilots (21.3.8.3.5): where the chip has taken the streams
apart, stream 0 has their sum there and the others have nothing.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.readers.split import by_kind
from foundation.readers.wifi import clock, pcap
from foundation.readers.wifi.nexmon_words import FORMATS, decode
from foundation.signal import Link, Signal

SPACING_HZ = 312_500.0
PORT = 5500
#: FFT bins -> subcarriers that carry energy (IEEE 802.11-2016, 19.3.9.4.6 and 21.3.7).
INDICES = {
    64: np.array([*range(-28, 0), *range(1, 29)]),
    128: np.array([*range(-58, -1), *range(2, 59)]),
    256: np.array([*range(-122, -1), *range(2, 123)]),
}
#: Of VHT at 80 MHz (21.3.10.10).
PILOTS = (11, 39, 75, 103)
#: Chip code of the header -> chip; 0xdead is what the tool's own capture of a 4358 holds.
CHIPS = {0x0001: "4339", 0x0065: "43455c0", 0x0003: "4358", 0xDEAD: "4358", 0x006A: "4366c0"}

_MAGIC = 0x1111
_LINK_SHARE = 0.25
#: Datagrams that are put in place at a time: copies of all would be larger than the file.
_BLOCK = 256
_HEADER = np.dtype(
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
    """True for any packet capture; `read` says if it holds no CSI."""
    return pcap.is_capture(head)


def read(path: Path, *, chip: str = "", autoscale: bool = True, interval_s: float = 0.0) -> list[Signal]:
    """Read one capture; values [frames, cores * streams, 56, 114 or 242], links ordered (core, stream).

    One signal per transmitter and channel, the one with most frames first; with several, a warning says so and the
    label "transmitter" holds the address. A core and stream that was not received for a frame is invalid there; one
    that comes with fewer than a quarter of the frames, or repeats another to the last bit (as from a 4339, which has
    one antenna), is dropped, with a warning; so are malformed datagrams. With several streams at 80 MHz the pilots are
    invalid, see the module; at 20 and 40 MHz the file does not say whether its frames are VHT, so they stay. Where the
    clock stands still or jumps, the frame is put one median interval after the one before it, with a warning.

    The standard turns the upper half of a 40 MHz band by 90 degrees and the upper three quarters of an 80 MHz band by
    180 (802.11-2016, 21.3.7.5); these turns are undone, so that the phase is continuous across the sub-bands.

    Args:
        chip: a key of `FORMATS`, for firmware whose chip code is not in `CHIPS`; empty takes the code of the packets.
        autoscale: scale every datagram of the 4358 and 4366c0 to 10 bits and cut to integers, as the tool does; False
            keeps the exact numbers and their level, which is common to all datagrams.
        interval_s: seconds between frames, in place of the recorded clock; 0 uses the clock.

    Raises:
        ReadError: the file is missing, empty, truncated or malformed, or has no CSI of a known chip.
    """
    if chip and chip not in FORMATS:
        raise ReadError(f"{path}: chip {chip!r} is not known; expected one of {', '.join(FORMATS)}.")
    data = read_bytes(path)
    headers, times, offsets = _usable(data, chip, path)
    sources = headers["source"].copy().view("V6")[:, 0].tolist()
    names = [chip or CHIPS[code] for code in headers["chip"].tolist()]
    groups = by_kind(zip(sources, headers["chanspec"].tolist(), names, strict=True), "transmitter or channel", path)
    signals = []
    for (source, chanspec, name), rows in groups.items():
        size = 4 * int(_bins(np.array(chanspec)))
        raw = sliding_window_view(np.frombuffer(data, np.uint8), size)[offsets[rows]]
        bins = decode(raw.view("<u4"), FORMATS[name], autoscale)
        signal = _signal(headers[rows], times[rows], bins, path, interval_s)
        labels = {"transmitter": source.hex(":")} if len(groups) > 1 else {}
        signals.append(signal.with_(carrier_hz=_carrier_hz(chanspec), device=f"Broadcom BCM{name}", labels=labels))
    return signals


def _usable(data: bytes, chip: str, path: Path) -> tuple[NDArray, NDArray[np.uint64], NDArray[np.int64]]:
    """Header, time in ns and byte offset of the first FFT bin of every sound datagram."""
    found = pcap.datagrams(data, PORT, path)
    long = found.size >= _HEADER.itemsize
    rows = sliding_window_view(np.frombuffer(data, np.uint8), _HEADER.itemsize)[found.offset[long]]
    headers = np.ascontiguousarray(rows).view(_HEADER)[:, 0]
    ours = headers["magic"] == _MAGIC
    if not ours.any():
        raise ReadError(
            f"{path}: none of its {found.packets} packets is CSI of nexmon_csi (UDP to port {PORT}, first bytes 11 11)"
            f"; record with 'tcpdump dst port {PORT}' while the extraction is on."
        )
    codes = headers["chip"]
    known = ours if chip else ours & np.isin(codes, list(CHIPS))
    if not known.any():
        raise ReadError(
            f"{path}: chip code {int(codes[ours][0]):#06x}; expected one of "
            f"{', '.join(f'{code:#06x} ({name})' for code, name in CHIPS.items())}: name the chip, "
            "nexmon.read(path, chip=...)."
        )
    bins = _bins(headers["chanspec"])
    size = found.size[long] - _HEADER.itemsize
    # A few bytes after the last bin (a checksum) are common; twice the size is another bandwidth.
    sound = known & (bins > 0) & (size >= 4 * bins) & (size < 8 * bins)
    if not sound.any():
        raise ReadError(
            f"{path}: none of its {int(ours.sum())} CSI datagrams has the size that its channel implies; expected 256, "
            "512 or 1024 bytes of CSI for 20, 40 or 80 MHz: record with a snapshot length of at least 1100 bytes."
        )
    if not sound.all():
        warnings.warn(
            f"{path}: dropped {int((~sound).sum())} of {len(sound)} datagrams of another kind, size or chip",
            stacklevel=3,
        )
    return headers[sound], found.time_ns[long][sound], found.offset[long][sound] + _HEADER.itemsize


def _bins(chanspec: NDArray) -> NDArray[np.int64]:
    """FFT bins of the bandwidth of chanspecs; 0 if it is not 20, 40 or 80 MHz."""
    return np.asarray(np.array([0, 0, 64, 128, 256, 0, 0, 0])[chanspec >> 11 & 7])


def _carrier_hz(chanspec: int) -> float:
    """The centre of the whole channel; 0 in a band that is neither 2.4 nor 5 GHz."""
    number = chanspec & 255
    if chanspec >> 14 == 0:
        return 2.484e9 if number == 14 else 2.407e9 + 5e6 * number
    return 5e9 + 5e6 * number if chanspec >> 14 == 3 else 0.0


def _signal(
    headers: NDArray, times: NDArray[np.uint64], bins: NDArray[np.complex64], path: Path, interval_s: float
) -> Signal:
    """Datagrams of one transmitter and channel, `bins` [datagrams, FFT bins] -> a signal without carrier or device."""
    # The byte order of core and stream differs between firmwares; the other byte is 0.
    pair = headers["link"][:, 0] | headers["link"][:, 1]
    codes = (pair & 7) << 3 | (pair >> 3 & 7)
    kept = _frequent_links(headers["sequence"], codes, path)
    rows, codes, times = np.flatnonzero(kept), codes[kept], times[kept]
    starts = _frame_starts(headers["sequence"][kept], codes)
    count = int(starts.sum())
    links = np.unique(codes)
    frame, column = np.cumsum(starts) - 1, np.searchsorted(links, codes)
    indices = INDICES[bins.shape[1]]
    values = np.zeros((count, len(links), len(indices)), np.complex64)
    for at in range(0, len(rows), _BLOCK):
        block = slice(at, at + _BLOCK)
        values[frame[block], column[block]] = bins[rows[block]][:, indices] * _unturn(indices)
    valid = np.zeros(values.shape, bool)
    valid[frame, column] = True
    distinct = _distinct(values, path)
    links, values, valid = links[distinct], values[:, distinct], valid[:, distinct]
    if len(indices) == len(INDICES[256]) and len(np.unique(links & 7)) > 1:
        valid[:, :, np.isin(np.abs(indices), PILOTS)] = False
    regular = np.arange(count, dtype=np.float64) * interval_s
    return Signal(
        values=values,
        valid=valid,
        time_s=regular if interval_s > 0 else clock.unwrap(times[starts], 1e-9, path),
        links=tuple(Link(tx=int(code) & 7, rx=int(code) >> 3) for code in links),
        frequency_hz=indices * SPACING_HZ,
        kind="csi",
        carrier_hz=0.0,
        bandwidth_hz=bins.shape[1] * SPACING_HZ,
        session=path.stem,
    )


def _frequent_links(sequence: NDArray, codes: NDArray, path: Path) -> NDArray[np.bool_]:
    """Per datagram: does its core and stream come with a quarter of the frames? If none does, the commonest is kept."""
    frames = int(_frame_starts(sequence, codes).sum())
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
            "repeat another to the last bit",
            stacklevel=4,
        )
    return kept


def _frame_starts(sequence: NDArray, codes: NDArray) -> NDArray[np.bool_]:
    """Per datagram: is it the first of its frame? A new number, or a core and stream seen already, starts one."""
    starts = np.zeros(len(codes), bool)
    current, seen = -1, 0
    for row, (number, code) in enumerate(zip(sequence.tolist(), codes.tolist(), strict=True)):
        if number != current or seen >> code & 1:
            starts[row], current, seen = True, number, 0
        seen |= 1 << code
    return starts


def _unturn(indices: NDArray[np.int64]) -> NDArray[np.complex64]:
    """What undoes the rotation of the sub-bands of a 20, 40 or 80 MHz channel."""
    if len(indices) == len(INDICES[128]):
        return np.where(indices > 0, -1j, 1).astype(np.complex64)
    if len(indices) == len(INDICES[256]):
        return np.where(indices >= -64, -1, 1).astype(np.complex64)
    return np.ones(len(indices), np.complex64)
