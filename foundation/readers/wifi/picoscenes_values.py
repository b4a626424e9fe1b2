"""Decode the CSI of PicoScenes frames for each device: kind of packet, tones and values.

`intel_ax` decodes Intel AX cards; those of the 5300 and the QCA9300 are the bit streams of the Linux 802.11n CSI Tool
and the Atheros CSI Tool; those of a USRP are a matrix of doubles after a list of tone numbers.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.wifi import atheros, intel5300, intel_ax, ofdm
from foundation.readers.wifi.picoscenes_frames import Csi, Frame

INTEL_AX = (0x2000, 0x2100)
INTEL_5300, QCA9300, USRP = 0x5300, 0x9300, 0x1234
DEVICES = {
    0x2000: "Intel AX200",
    0x2100: "Intel AX210",
    INTEL_5300: "Intel 5300",
    QCA9300: "Qualcomm Atheros QCA9300",
    USRP: "USRP",
}
_FORMATS = ("non-HT", "HT", "VHT", "HE")


class Kind(NamedTuple):
    """The properties that packets of one signal share; `numbers` are the subcarriers as a USRP frame lists them."""

    transmitter: bytes
    device: int
    packet_format: int
    mhz: int
    carrier_hz: int
    spacing_hz: int
    tones: int
    rx: int
    tx: int
    shift: int
    size: int
    numbers: bytes


def kind_of(frame: Frame, data: bytes, path: Path) -> Kind | None:
    """The kind of a frame; None if an Intel AX card used a format whose tones are unknown.

    Raises:
        ReadError: size, tones, antennas and bandwidth are inconsistent.
    """
    csi = frame.csi
    tx, numbers = _streams(csi), b""
    if csi.device == USRP:
        numbers = data[frame.start : frame.start + 2 * csi.tones]
        tx = csi.streams + csi.extra_streams if _matrix(frame, data) else 0
    if not (1 <= tx <= 8 and 1 <= csi.rx <= 8) or not (csi.tones and csi.spacing_hz) or not _consistent(csi, numbers):
        raise ReadError(
            f"{path}: the CSI in the frame at byte {frame.at} is inconsistent ({DEVICES[csi.device]}, {csi.mhz} "
            f"MHz, {csi.tones} tones, {csi.rx} rx, {csi.size} bytes, antenna order {csi.antennas:#04x}); expected the "
            "size and the tones that antennas and bandwidth imply: copy the file again."
        )
    kind = Kind(
        transmitter=frame.transmitter,
        device=csi.device,
        packet_format=csi.packet_format,
        mhz=csi.mhz,
        carrier_hz=csi.carrier_hz,
        spacing_hz=csi.spacing_hz,
        tones=csi.tones,
        rx=csi.rx,
        tx=tx,
        shift=csi.shift,
        size=csi.size,
        numbers=numbers,
    )
    return None if csi.device in INTEL_AX and _plan(kind) is None else kind


def _streams(csi: Csi) -> int:
    """Number of transmit streams, from the size of the values; 0 if the size fits no number."""
    size, one = csi.size, 4 * csi.tones * csi.rx
    if csi.device == INTEL_5300:
        size, one = csi.size - 12, 60 * csi.rx  # 3 bits before each of 30 tones
    elif csi.device == QCA9300:
        one = csi.tones * csi.rx * 20 // 8
    return size // one if one and size % one == 0 else 0


def _consistent(csi: Csi, numbers: bytes) -> bool:
    """Do tones, bandwidth and antenna order fit the device?"""
    if csi.device == INTEL_5300:
        ports = _ports(csi.antennas)
        return csi.tones == 30 and csi.mhz in (20, 40) and (csi.rx < 3 or (csi.rx == 3 and set(ports) == {0, 1, 2}))
    if csi.device == QCA9300:
        return csi.tones == {20: 56, 40: 114}.get(csi.mhz)
    if csi.device == USRP:
        return csi.estimates == 1 and bool(np.all(np.diff(np.frombuffer(numbers, "<i2").astype(int)) > 0))
    return True


def _ports(antennas: int) -> tuple[int, int, int]:
    """The antenna port behind each receive chain of the 5300."""
    return antennas & 3, antennas >> 2 & 3, antennas >> 4 & 3


def _matrix(frame: Frame, data: bytes) -> int:
    """Bytes before the values of a USRP frame, tone numbers and a matrix header; 0 if the header is unexpected.

    The matrix is complex double, tones running fastest, then streams, then receive chains.
    """
    csi = frame.csi
    dimensions = (csi.tones, csi.streams + csi.extra_streams, csi.rx)
    for version, number in ((b"BBv1", "I"), (b"BBv2", "Q")):
        header = version + b"\x03" + struct.pack(f"<3{number}", *dimensions) + b"CD\x40C"
        before = 2 * csi.tones + len(header)
        if data.startswith(header, frame.start + 2 * csi.tones) and csi.size == before + 16 * np.prod(dimensions):
            return before
    return 0


def _plan(kind: Kind) -> intel_ax.Plan | None:
    known = 0 <= kind.packet_format < len(_FORMATS)
    return intel_ax.plan_of(_FORMATS[kind.packet_format], kind.mhz, kind.tones) if known else None


def bandwidth_hz(kind: Kind) -> float:
    """Bandwidth of the packets, which may be less than that of the channel."""
    plan = _plan(kind) if kind.device in INTEL_AX else None
    return (kind.mhz if plan is None else plan.mhz) * 1e6


def tones(kind: Kind) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Frequency offsets of the tones from the carrier in hertz, and whether they were measured, both [R]."""
    if (plan := _plan(kind)) is not None and kind.device in INTEL_AX:
        step = plan.frequency_hz[1] - plan.frequency_hz[0]
        return plan.frequency_hz + kind.shift * step, plan.measured
    indices = _indices(kind)
    return (indices + kind.shift) * np.float64(kind.spacing_hz), np.ones(len(indices), bool)


def _indices(kind: Kind) -> NDArray[np.int64]:
    if kind.device == INTEL_5300:
        return intel5300.INDICES_20MHZ if kind.mhz == 20 else intel5300.INDICES_40MHZ
    if kind.device == QCA9300:
        return ofdm.INDICES[kind.tones]
    return np.frombuffer(kind.numbers, "<i2").astype(np.int64)


def values(data: bytes, frames: list[Frame], kind: Kind, path: Path) -> NDArray[np.complex64]:
    """Decode the values [packets, rx * tx, R] of frames of one kind, tx running fastest.

    Raises:
        ReadError: a value of a USRP is not finite.
    """
    starts = np.array([frame.start for frame in frames])
    payload = sliding_window_view(np.frombuffer(data, np.uint8), kind.size)[starts]
    if kind.device in INTEL_AX:
        plan = _plan(kind)
        assert plan is not None  # kind_of returns None for the others
        return intel_ax.channel(payload.tobytes(), len(frames), plan)
    if kind.device == USRP:
        return _doubles(payload[:, _matrix(frames[0], data) :], frames, kind, path)
    field = _intel_5300(payload, frames, kind) if kind.device == INTEL_5300 else _qca9300(payload, kind)
    decoded = field.reshape(len(frames), kind.tones, -1).swapaxes(1, 2)
    if kind.mhz == 40:
        ofdm.undo_ht40_rotation(decoded, _indices(kind))
    return decoded


def _doubles(payload: NDArray[np.uint8], frames: list[Frame], kind: Kind, path: Path) -> NDArray[np.complex64]:
    with np.errstate(over="ignore", invalid="ignore"):
        field = np.ascontiguousarray(payload).view("<c16").astype(np.complex64)
    finite = np.isfinite(field).all(axis=1)
    if not finite.all():
        at = frames[int(np.argmin(finite))].at
        raise ReadError(f"{path}: a value in the frame at byte {at} is not a finite number; copy the file again.")
    return field.reshape(len(frames), kind.rx * kind.tx, kind.tones)


def _intel_5300(payload: NDArray[np.uint8], frames: list[Frame], kind: Kind) -> NDArray[np.complex64]:
    """complex [packets, 30, rx, tx]; chains sorted by antenna port where all three were used, as the CSI Tool does."""
    links = kind.rx * kind.tx
    start = np.arange(30)[:, None] * (3 + 16 * links) + 3 + 16 * np.arange(links)
    values = np.empty((len(frames), 30, links), np.complex64)
    values.real, values.imag = _signed_bytes(payload, start), _signed_bytes(payload, start + 8)
    field = values.reshape(len(frames), 30, kind.rx, kind.tx)
    if kind.rx < 3:
        return field
    chains = np.argsort([_ports(frame.csi.antennas) for frame in frames], axis=1)
    return np.take_along_axis(field, chains[:, None, :, None], axis=2)


def _signed_bytes(payload: NDArray[np.uint8], start: NDArray[np.int64]) -> NDArray[np.int8]:
    """int8 [packets, ...] that start at these bits of the payload, least significant bit first."""
    word = payload[:, start // 8] | payload[:, start // 8 + 1].astype(np.uint16) << 8
    return (word >> (start % 8).astype(np.uint16)).astype(np.uint8).view(np.int8)


def _qca9300(payload: NDArray[np.uint8], kind: Kind) -> NDArray[np.complex64]:
    """complex [packets, tones, rx, tx]."""
    return atheros.decode(payload, kind.tones, kind.tx, kind.rx).swapaxes(2, 3)
