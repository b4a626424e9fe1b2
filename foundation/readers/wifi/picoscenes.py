"""PicoScenes captures (`.csi`): Intel AX200, AX210 and 5300, Qualcomm Atheros QCA9300, USRP (Jiang et al., 2021).

The frames are told in `picoscenes_frames`, what they mean on each device in `picoscenes_values`. Read here and not by
csiread 1.4.1, which trusts every length in the file: a damaged one hangs or crashes the process, and a frame that is
cut off is returned as if it were whole.

Values are as the device counts them, after its gain control; a USRP's are relative to its full scale. The tone rotation
of the standard is undone, except on a USRP: no capture beyond 20 MHz shows whether its receiver does so.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.readers.split import by_kind
from foundation.readers.wifi import clock, intel_ax
from foundation.readers.wifi.picoscenes_frames import MAGIC, Frame, scan
from foundation.readers.wifi.picoscenes_values import DEVICES, INTEL_AX, USRP, kind_of, tones, values
from foundation.signal import Link, Signal


def sniff(head: bytes) -> bool:
    """True for the magic number of the first frame."""
    return head[4:8] == MAGIC


def read(path: Path, *, interval_s: float = 0.0) -> list[Signal]:
    """Read one capture; values [packets, rx * tx, tones], links ordered (rx, tx) with tx running fastest.

    Packets that differ in transmitter, carrier, format, bandwidth or antennas become signals of their own, the largest
    first, with a warning; their times count from the first packet of the file. CTS and ACK packets do not name their
    transmitter and are taken as one. Pilots that an Intel AX card does not measure are marked invalid. Frames without
    CSI, and packets of an Intel AX card in a format other than non-HT, HT, VHT and HE, are skipped, with a warning.

    Args:
        interval_s: seconds between packets, in place of the recorded clock; 0 uses the clock.

    Raises:
        ReadError: the file is missing, empty, truncated or malformed, of an unknown device or version, or has no packet
            that can be read or no running clock.
    """
    data = read_bytes(path)
    frames, without = scan(data, path)
    device = _device(frames, path)
    kinds = [kind_of(frame, data, path) for frame in frames]
    groups = by_kind(kinds, "transmitter, carrier, format, bandwidth or antennas", path)
    skipped = without + kinds.count(None)
    if not groups:
        raise ReadError(
            f"{path}: none of its {skipped} packets has CSI in a known format; record with CSI switched on."
        )
    if skipped:
        warnings.warn(
            f"{path}: skipped {skipped} of {without + len(frames)} packets without CSI or in an unknown format",
            stacklevel=2,
        )
    time = np.arange(len(frames)) * np.float64(interval_s)
    if interval_s <= 0:
        ticks = np.array([frame.ticks for frame in frames], np.uint64)
        tick_s, bits = 1e-9 if device == USRP else 1e-6, intel_ax.CLOCK_BITS if device in INTEL_AX else 64
        time = clock.unwrap(ticks, tick_s, path, bits=bits)
    signals = []
    for kind, packets in groups.items():
        frequency_hz, valid = tones(kind)
        signals.append(
            Signal(
                values=values(data, [frames[packet] for packet in packets], kind, path),
                valid=valid,
                time_s=time[packets],
                links=tuple(Link(t, r) for r in range(kind.rx) for t in range(kind.tx)),
                frequency_hz=frequency_hz,
                kind="csi",
                carrier_hz=float(kind.carrier_hz),
                bandwidth_hz=kind.mhz * 1e6,
                device=DEVICES[kind.device],
                session=path.stem,
            )
        )
    return signals


def _device(frames: list[Frame], path: Path) -> int:
    """The device of all frames; 0 if there is none."""
    found = {frame.csi.device: frame.at for frame in frames}
    unknown = set(found) - set(DEVICES)
    if unknown or len(found) > 1:
        names = ", ".join(f"{device:#06x}" for device in sorted(found))
        raise ReadError(
            f"{path}: CSI of the devices {names}; expected one of {', '.join(DEVICES.values())} in a file, so it is "
            f"damaged or of an unknown device (the frame at byte {found[min(unknown or found)]})."
        )
    return next(iter(found), 0)
