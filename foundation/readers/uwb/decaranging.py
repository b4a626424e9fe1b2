"""Read UWB channel impulse responses from logs of Decawave's DecaRanging program (`.log`, also gzip-compressed).

The log is text. After a `Mode:` line with channel and PRF, every received frame is an `Rx time = SECONDS` line, an
`RX OK ... HLP(POSITION), PSC(SYMBOLS) ...` line with the leading-edge (first path) position in taps and the number of
accumulated preamble symbols, and `Accum Len N` followed by N lines `REAL, IMAGINARY`. `RX E` instead of `RX OK` is a
failed reception without a first path, which is skipped.

Source: DW1000 User Manual 2.12: one tap is half a chip of 499.2 MHz (register file 0x25); the receive clock has 40 bits
of 1/(128 * 499.2 MHz), so it wraps every 17.2 s (register file 0x15); channels and bandwidths in chapter 10.5.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import gunzip, gunzip_head, plain_text, read_bytes
from foundation.signal import Link, Signal

CHIP_RATE_HZ = 499.2e6
TAP_S = 1.0 / (2.0 * CHIP_RATE_HZ)
CLOCK_PERIOD_S = 2.0**40 / (128.0 * CHIP_RATE_HZ)
#: UWB channel -> (carrier, bandwidth) in hertz; the receiver limits channels 4 and 7 to 900 MHz.
CHANNELS: dict[int, tuple[float, float]] = {
    1: (3494.4e6, 499.2e6),
    2: (3993.6e6, 499.2e6),
    3: (4492.8e6, 499.2e6),
    4: (3993.6e6, 900e6),
    5: (6489.6e6, 499.2e6),
    7: (6489.6e6, 900e6),
}

_MODE = re.compile(rb"^Mode:[^\n]*\bChan[ \t]+(\d{1,3})\b", re.MULTILINE)
_LINE = re.compile(
    rb"^[^\n]*Rx time[ \t]*=[ \t]*(?P<time>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3})?)(?!\S)"
    rb"|^RX OK[^\n]*HLP\([ \t]*(?P<path>\d{1,6}(?:\.\d*)?)\),[ \t]*PSC\([ \t]*(?P<symbols>\d{1,6})\)"
    rb"|^(?P<failed>RX E)|^Accum Len[ \t]+(?P<taps>\d+)[ \t]*\n",
    re.MULTILINE,
)
_TAPS = re.compile(rb"(?:[ \t]*+-?[0-9]{1,9}+[ \t]*+,[ \t]*+-?[0-9]{1,9}+[ \t]*+\n)*+")


@dataclass(frozen=True)
class _Frame:
    time_s: float
    first_path: int
    taps: NDArray[np.complex64]


def sniff(head: bytes) -> bool:
    """True for either header line of a DecaRanging log, plain or compressed."""
    text = plain_text(gunzip_head(head))
    return b"created by DecaRanging" in text or _MODE.search(text) is not None


def read(path: Path) -> Signal:
    """Read one log.

    Every accumulation is shifted by an integer number of taps so that the tap of its first path (HLP, integer part) has
    delay 0. The delay axis is the range that all frames share; negative delays are the noise before the first path. The
    hardware sums over the received preamble symbols (PSC); dividing by their number makes the levels of frames
    comparable, as in the power estimates of the user manual (chapter 4.7). Receive times more than 17.2 s apart are
    ambiguous by multiples of 17.2 s.

    Frames without a first path, a time or all of their taps, such as the last of a log that was cut, are skipped, with
    a warning that counts them; a gzip stream that was cut is read up to there.

    Returns:
        Values [frames, 1, taps] in counts per preamble symbol, kind "cir".

    Raises:
        ReadError: the file is missing, empty, not a DecaRanging log, or has no complete frame.
    """
    text = plain_text(gunzip(read_bytes(path), path))
    carrier_hz, bandwidth_hz = _channel(text, path)
    frames, skipped = _frames(text)
    if not frames:
        raise ReadError(
            f"{path}: none of its {skipped} channel impulse responses is complete; expected 'Rx time', 'RX OK' with "
            "HLP and 'Accum Len' with all taps: log with the accumulator enabled, or copy the file again."
        )
    if skipped:
        warnings.warn(
            f"{path}: skipped {skipped} of {skipped + len(frames)} frames that failed in reception or are incomplete",
            stacklevel=2,
        )
    frames = _distinct(frames, path)
    before = min(frame.first_path for frame in frames)
    after = min(len(frame.taps) - frame.first_path for frame in frames)
    values = np.stack([frame.taps[frame.first_path - before : frame.first_path + after] for frame in frames])
    return Signal(
        values=values[:, None, :],
        time_s=_unwrap(np.array([frame.time_s for frame in frames])),
        links=(Link(),),
        delay_s=np.arange(-before, after, dtype=np.float64) * TAP_S,
        kind="cir",
        carrier_hz=carrier_hz,
        bandwidth_hz=bandwidth_hz,
        device="Decawave DW1000",
        session=path.name.removesuffix(".gz").removesuffix(".log"),
    )


def _channel(text: bytes, path: Path) -> tuple[float, float]:
    """Carrier and bandwidth in hertz of the channel in the `Mode:` line."""
    mode = _MODE.search(text)
    if mode is None:
        raise ReadError(f"{path}: no line 'Mode: ..., Chan N, ...'; expected a log written by DecaRanging.")
    channel = int(mode[1])
    if channel not in CHANNELS:
        raise ReadError(f"{path}: UWB channel {channel} in the 'Mode:' line; expected one of {sorted(CHANNELS)}.")
    return CHANNELS[channel]


def _frames(text: bytes) -> tuple[list[_Frame], int]:
    """Parse the complete frames, and count the accumulations without one."""
    frames: list[_Frame] = []
    skipped, at = 0, 0
    time_s: float | None = None
    first_path: int | None = None
    symbols = 0
    while (line := _LINE.search(text, at)) is not None:
        at = line.end()
        if line["time"] is not None:
            seconds = float(line["time"])
            time_s = seconds if math.isfinite(seconds) else None
        elif line["path"] is not None:
            first_path, symbols = int(float(line["path"])), int(line["symbols"])
        elif line["failed"] is not None:
            time_s = first_path = None
        else:
            block = _TAPS.match(text, at)
            assert block is not None  # the pattern also matches the empty string
            at = block.end()
            count = block[0].count(b"\n")
            is_complete = line["taps"] == b"%d" % count
            if is_complete and time_s is not None and symbols and first_path is not None and first_path < count:
                frames.append(_Frame(time_s, first_path, _parse(block[0]) / np.float32(symbols)))
            else:
                skipped += 1
            time_s = first_path = None
    return frames, skipped


def _parse(block: bytes) -> NDArray[np.complex64]:
    """Taps [N] from N lines `REAL, IMAGINARY`."""
    numbers = np.fromstring(block.replace(b",", b" ").decode("ascii"), dtype=np.int32, sep=" ")
    return numbers.astype(np.float32).view(np.complex64)


def _distinct(frames: list[_Frame], path: Path) -> list[_Frame]:
    """The frames without those that have the receive time of the one before: logged twice, with a warning."""
    kept = [
        frame
        for before, frame in zip([None, *frames], frames, strict=False)
        if before is None or (frame.time_s - before.time_s) % CLOCK_PERIOD_S > 0
    ]
    if len(kept) < len(frames):
        warnings.warn(
            f"{path}: dropped {len(frames) - len(kept)} of {len(frames)} frames with the receive time of that before",
            stacklevel=3,
        )
    return kept


def _unwrap(clock_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds from the first frame of receive times that wrap."""
    steps = np.diff(clock_s) % CLOCK_PERIOD_S
    return np.concatenate([[0.0], np.cumsum(steps)])
