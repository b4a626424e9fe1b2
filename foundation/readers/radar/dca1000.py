"""Read FMCW radar ADC samples of TI mmWave sensors, captured with a DCA1000 board (`adc_data.bin`): headerless int16.

Source: TI application report SWRA581, "Mmwave Radar Device ADC Raw Data Capture". Two layouts, by the LVDS lanes:

- `two-lane` (xWR16xx, xWR18xx, xWR68xx): in a chirp one receiver after the other; complex samples in pairs I, I, Q, Q.
- `four-lane` (xWR12xx, xWR14xx): sample by sample the I of all four lanes, then their Q, including unused lanes.

Numbers are two's complement of 16 bits, or of 12 or 14 (`adc_bits`) whose sign is not extended. Other digitisers on the
same lanes, and programs that store unsigned numbers, use offset binary: 0 is the most negative (`is_offset_binary`).

The configuration of the sensor is in a JSON file beside the capture, see `Dca1000Config`. The format cannot be detected
by content.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from foundation.errors import ReadError
from foundation.readers.files import plain_text, read_bytes
from foundation.readers.links import antenna_links
from foundation.signal import Signal

_LANES = 4


class Dca1000Config(BaseModel):
    """Configuration of the sensor; transmitters alternate from chirp to chirp (TDM-MIMO).

    Attributes:
        layout: see the module.
        receivers: receive antennas in use.
        transmitters: transmit antennas in use.
        adc_samples: samples per chirp.
        chirp_loops: rounds of all transmitters in a frame.
        sample_rate_hz: sample rate of the ADC.
        start_frequency_hz: frequency at the start of the ramp.
        slope_hz_per_s: slope of the ramp.
        chirp_interval_s: idle time plus ramp time, from one chirp to the next.
        frame_interval_s: time from one frame to the next.
        adc_start_s: time from the start of the ramp to the first sample.
        is_complex: I and Q were recorded, not only I.
        q_first: Q is stored before I (`iqSwap` of the mmWave SDK's `adcbufCfg`).
        adc_bits: bits of a number; the others of its 16 are ignored, as in SWRA581.
        is_offset_binary: numbers are unsigned, and half of full scale stands for zero.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal["two-lane", "four-lane"]
    receivers: int = Field(ge=1, le=_LANES)
    transmitters: int = Field(ge=1, le=4)
    adc_samples: int = Field(ge=2, le=1 << 16)
    chirp_loops: int = Field(ge=1, le=1 << 16)
    sample_rate_hz: float = Field(gt=0, allow_inf_nan=False)
    start_frequency_hz: float = Field(gt=0, allow_inf_nan=False)
    slope_hz_per_s: float = Field(gt=0, allow_inf_nan=False)
    chirp_interval_s: float = Field(gt=0, allow_inf_nan=False)
    frame_interval_s: float = Field(gt=0, allow_inf_nan=False)
    adc_start_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    is_complex: bool = True
    q_first: bool = False
    adc_bits: Literal[12, 14, 16] = 16
    is_offset_binary: bool = False

    @property
    def chirp_bytes(self) -> int:
        """Bytes of one chirp in the file."""
        lanes = self.receivers if self.layout == "two-lane" else _LANES
        return 2 * self.adc_samples * lanes * (2 if self.is_complex else 1)


def sniff(head: bytes) -> bool:
    """Always False: there is no header."""
    return False


def read(path: Path, config: Dca1000Config | Path | None = None) -> Signal:
    """Read one capture.

    The n-th sample of a chirp was taken at one frequency of its ramp, so the samples are a frequency response. The
    mixer yields its conjugate (the beat frequency of an echo is positive), which is undone, so that `to_delay` places
    echoes at positive delays. Times are those of the chirps of the first transmitter; transmitter k follows k chirp
    intervals later.

    A chirp of zeros is what the DCA1000 writes for lost packets: it is marked invalid, with a warning. An incomplete
    frame at the end is dropped, with a warning.

    Args:
        config: configuration of the sensor, or its JSON file; None reads the one of the same name beside the capture
            (`adc_data.json`).

    Returns:
        Values [frames * chirp loops, receivers * transmitters, ADC samples] in counts, kind "radar", links ordered
        (rx, tx) with tx running fastest.

    Raises:
        ReadError: a file is missing or empty, the configuration is incomplete or inconsistent, or there is no frame.
    """
    setup = config if isinstance(config, Dca1000Config) else _load(config or path.with_suffix(".json"))
    _check_duration(setup, path)
    adc = _chirps(read_bytes(path), setup, path)
    frames = len(adc)
    values = adc.swapaxes(2, 3).reshape(frames * setup.chirp_loops, -1, setup.adc_samples)
    measured = _measured(values, path)
    if setup.is_offset_binary:
        half = 1 << (setup.adc_bits - 1)
        zero = np.complex64(half + 1j * half) if setup.is_complex else np.float32(half)
        values = np.where(measured[:, :, None], values - zero, 0)
    step_hz = setup.slope_hz_per_s / setup.sample_rate_hz
    centre = (setup.adc_samples - 1) / 2
    starts = np.arange(frames)[:, None] * setup.frame_interval_s
    loops = np.arange(setup.chirp_loops) * (setup.transmitters * setup.chirp_interval_s)
    return Signal(
        values=np.conj(values),
        valid=measured[:, :, None],
        time_s=(starts + loops).reshape(-1),
        links=antenna_links(setup.receivers, setup.transmitters),
        frequency_hz=(np.arange(setup.adc_samples, dtype=np.float64) - centre) * step_hz,
        kind="radar",
        carrier_hz=setup.start_frequency_hz + setup.slope_hz_per_s * setup.adc_start_s + centre * step_hz,
        bandwidth_hz=setup.adc_samples * step_hz,
        is_real=not setup.is_complex,
        device="TI mmWave sensor with DCA1000",
        session=path.stem,
    )


def _check_duration(setup: Dca1000Config, path: Path) -> None:
    duration = setup.chirp_loops * setup.transmitters * setup.chirp_interval_s
    if duration > setup.frame_interval_s * (1 + 1e-9):
        raise ReadError(
            f"{path}: {setup.chirp_loops} loops of {setup.transmitters} chirps take {duration:g} s, longer than "
            f"frame_interval_s of {setup.frame_interval_s:g} s; correct the configuration."
        )


def _measured(values: NDArray, path: Path) -> NDArray[np.bool_]:
    """Which chirps [times, links] were received: those that are not all zero; warns of the others."""
    measured: NDArray[np.bool_] = np.asarray(values.any(axis=2))
    if not measured.any():
        raise ReadError(f"{path}: all samples are zero; check that the sensor was streaming and capture again.")
    if not measured.all():
        warnings.warn(
            f"{path}: {int((~measured).sum())} of {measured.size} chirps are all zero (lost packets) and are marked "
            f"invalid, the first at time index {int(np.argmin(measured.all(axis=1)))}",
            stacklevel=3,
        )
    return measured


def _load(path: Path) -> Dca1000Config:
    try:
        return Dca1000Config.model_validate_json(plain_text(read_bytes(path)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ReadError(
            f"{path}: {where}: {first['msg']}; expected a JSON object with {', '.join(Dca1000Config.model_fields)}."
        ) from error


def _chirps(data: bytes, setup: Dca1000Config, path: Path) -> NDArray:
    """ADC samples [frames, loops, tx, rx, samples]: complex64, or float32 where only I was recorded."""
    frame = setup.chirp_loops * setup.transmitters * setup.chirp_bytes
    frames, rest = divmod(len(data), frame)
    if frames == 0:
        raise ReadError(
            f"{path}: has {len(data)} bytes, less than one frame of {frame} bytes of the configuration; capture "
            "for longer or correct the configuration."
        )
    if rest:
        warnings.warn(
            f"{path}: dropped {rest} bytes of an incomplete frame after {frames} frames of {frame} bytes; if the "
            "capture is not truncated, the configuration does not match it",
            stacklevel=3,
        )
    counts = _counts(np.frombuffer(data, "<u2", count=frames * frame // 2), setup, path)
    shape = (frames, setup.chirp_loops, setup.transmitters)
    if setup.layout == "two-lane":
        if not setup.is_complex:
            return counts.astype(np.float32).reshape(*shape, setup.receivers, setup.adc_samples)
        if len(counts) % 4:
            raise ReadError(f"{path}: {len(counts)} numbers are not groups of I, I, Q, Q; correct the configuration.")
        pairs = counts.reshape(-1, 2, 2)
        return _complex(pairs[:, 0], pairs[:, 1], setup).reshape(*shape, setup.receivers, setup.adc_samples)
    parts = counts.reshape(*shape, setup.adc_samples, -1, _LANES)[..., : setup.receivers]
    samples = _complex(parts[..., 0, :], parts[..., 1, :], setup) if setup.is_complex else parts[..., 0, :]
    return np.asarray(samples.swapaxes(3, 4), np.complex64 if setup.is_complex else np.float32)


def _counts(raw: NDArray[np.uint16], setup: Dca1000Config, path: Path) -> NDArray:
    """The numbers of the ADC, int16; as they are, uint16, for offset binary, in which a lost packet is 0, too."""
    unused = 16 - setup.adc_bits
    if setup.is_offset_binary:
        return raw & np.uint16(0xFFFF >> unused)
    counts = raw.view(np.int16) if not unused else (raw << unused).view(np.int16) >> unused
    # Offset binary read as two's complement is never near zero.
    some = np.abs(counts[: 1 << 16].astype(np.int32))
    loud, sent = (int(np.count_nonzero(some > level)) for level in (1 << (setup.adc_bits - 2), 0))
    if loud > 0.95 * max(1, sent):
        warnings.warn(
            f"{path}: nearly all numbers are beyond half of full scale, as those of offset binary read as two's "
            "complement are; check is_offset_binary in the configuration",
            stacklevel=4,
        )
    return counts


def _complex(first: NDArray, second: NDArray, setup: Dca1000Config) -> NDArray[np.complex64]:
    """Complex samples from the parts in the order of the file."""
    out = np.empty(first.shape, np.complex64)
    out.real, out.imag = (second, first) if setup.q_first else (first, second)
    return out
