"""Read Wi-Fi CSI `.csi` files of PicoScenes: Intel AX200, AX210 and 5300, Atheros QCA9300, USRP (Jiang et al., 2021).

`picoscenes_frames` parses the frames, `picoscenes_values` decodes their CSI for each device. csiread 1.4.1 is not used:
it trusts every length in the file, so a damaged one hangs or crashes the process, and it returns a truncated frame as
if it were complete.

Values are counts of the device, after its automatic gain control; those of a USRP are relative to full scale. The tone
rotation of the standard is undone, except on a USRP: no capture beyond 20 MHz was available to tell whether its
receiver does so.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.readers.links import antenna_links
from foundation.readers.wifi import intel_ax
from foundation.readers.wifi.clock import packet_times
from foundation.readers.wifi.grouping import by_kind, transmitter_label
from foundation.readers.wifi.picoscenes_frames import MAGIC, Frame, scan
from foundation.readers.wifi.picoscenes_values import (
    DEVICES,
    INTEL_AX,
    USRP,
    Kind,
    bandwidth_hz,
    kind_of,
    tones,
    values,
)
from foundation.signal import Signal


def sniff(head: bytes) -> bool:
    """True for the magic number of the first frame."""
    return head[4:8] == MAGIC


def read(path: Path, *, interval_s: float = 0.0) -> list[Signal]:
    """Read one capture.

    Packets that differ in transmitter, carrier, format, bandwidth or antennas are returned as separate signals, the
    largest first, with a warning; their times count from the first packet of the file. CTS and ACK packets do not name
    their transmitter and are grouped as one; with several signals the label `transmitter` of the others holds the
    address. Pilots that an Intel AX card does not measure are marked invalid. Frames
    without CSI, and packets of an Intel AX card in a format other than non-HT, HT, VHT and HE, are skipped, and an
    incomplete last frame, as of a recorder that was stopped, is left out, each with a warning.

    Args:
        interval_s: seconds between packets, in place of the recorded clock; 0 uses the clock.

    Returns:
        Per signal values [packets, rx * tx, tones], links ordered (rx, tx) with tx running fastest.

    Raises:
        ReadError: the file is missing, empty or malformed, of an unknown device or version, or has no packet
            that can be read or no running clock.
    """
    data = read_bytes(path)
    frames, without = scan(data, path)
    device = _device(frames, path)
    kinds = [kind_of(frame, data, path) for frame in frames]
    groups = by_kind(kinds, "transmitter, carrier, format, bandwidth or antennas", path)
    skipped = without + kinds.count(None)
    found = _first_unknown(frames, kinds)
    if not groups:
        raise ReadError(
            f"{path}: none of its {skipped} packets has CSI in a known format{found}; record with CSI switched on."
        )
    if skipped:
        warnings.warn(
            f"{path}: skipped {skipped} of {without + len(frames)} packets without CSI or in an unknown format{found}",
            stacklevel=2,
        )
    time = _times(frames, device, interval_s, path)
    signals = []
    for kind, packets in groups.items():
        signal = signal_of(data, [frames[packet] for packet in packets], time[packets], kind, path)
        signals.append(signal.with_(labels=transmitter_label(kind.transmitter.hex(":"), groups)))
    return signals


def _first_unknown(frames: list[Frame], kinds: list[Kind | None]) -> str:
    """What the first packet of an unknown format is; empty if there is none."""
    if None not in kinds:
        return ""
    csi = frames[kinds.index(None)].csi
    return f" (the first: packet format {csi.packet_format}, {csi.mhz} MHz, {csi.tones} tones)"


def _times(frames: list[Frame], device: int, interval_s: float, path: Path) -> NDArray[np.float64]:
    """Seconds from the first frame [frames]; a USRP counts nanoseconds, the others microseconds.

    Intel AX cards have two counters. Older releases of PicoScenes leave that of RxSBasic at 0 in some or all frames,
    releases of 2025 that of the firmware.
    """
    is_firmware, bits = counter_of(frames, device)
    ticks = np.array([ticks_of(frame, is_firmware) for frame in frames], np.uint64)
    return packet_times(ticks, tick_s(device), path, bits=bits, interval_s=interval_s)


def tick_s(device: int) -> float:
    """Seconds per count of the counters of a device."""
    return 1e-9 if device == USRP else 1e-6


def ticks_of(frame: Frame, is_firmware: bool) -> int:
    return (frame.firmware_ticks or 0) if is_firmware else frame.ticks


def counter_of(frames: list[Frame], device: int) -> tuple[bool, int]:
    """Whether to take the counter of the firmware, see `_times`, and the bits of the counter that is taken."""
    if device not in INTEL_AX:
        return False, 64
    ticks, firmware = (np.array([ticks_of(frame, which) for frame in frames], np.uint64) for which in (False, True))
    is_firmware = np.count_nonzero(firmware) >= np.count_nonzero(ticks) and _runs(firmware)
    is_wide = ((firmware if is_firmware else ticks) >> np.uint64(intel_ax.CLOCK_BITS)).any()
    return bool(is_firmware), 64 if is_wide else intel_ax.CLOCK_BITS


def _runs(ticks: NDArray[np.uint64]) -> bool:
    """Does a counter change from frame to frame, mostly?"""
    return bool(2 * np.count_nonzero(ticks[1:] != ticks[:-1]) >= len(ticks) - 1)


def signal_of(data: bytes, frames: list[Frame], time_s: NDArray[np.float64], kind: Kind, path: Path) -> Signal:
    """The signal of frames of one kind."""
    frequency_hz, valid = tones(kind)
    return Signal(
        values=values(data, frames, kind, path),
        valid=valid,
        time_s=time_s,
        links=antenna_links(kind.rx, kind.tx),
        frequency_hz=frequency_hz,
        kind="csi",
        carrier_hz=float(kind.carrier_hz),
        bandwidth_hz=bandwidth_hz(kind),
        device=DEVICES[kind.device],
        session=path.stem,
    )


def _device(frames: list[Frame], path: Path) -> int:
    """The device code that all frames share; 0 if there are no frames."""
    found = {frame.csi.device: frame.at for frame in frames}
    unknown = set(found) - set(DEVICES)
    if unknown or len(found) > 1:
        names = ", ".join(f"{device:#06x}" for device in sorted(found))
        raise ReadError(
            f"{path}: CSI of the devices {names}; expected one of {', '.join(DEVICES.values())} in a file, so it is "
            f"damaged or of an unknown device (the frame at byte {found[min(unknown or found)]})."
        )
    return next(iter(found), 0)
