"""Read ESP32 Wi-Fi CSI amplitudes in `.npy` files of the stability-csi-har dataset (HT-LTF, 20 MHz, 56 subcarriers).

The files hold only numbers: [56, packets] for a complete execution or [windows, 56, packets]; [packets, 56] and
[windows, packets, 56] are read too. The rest comes from the description of the dataset: amplitudes without phase,
channel 6, about 100 packets per second, no receive times. It does not state the order of the subcarriers. The data show
it: the mean amplitude is as smooth between rows 28 and 29 as elsewhere, where the buffer order of the ESP32 (1..28,
then -28..-1) would jump from one band edge to the other; so rows are in order of frequency, assumed to increase.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.arrays.npy import NPY_MAGIC, parse_npy
from foundation.readers.files import read_bytes
from foundation.readers.wifi.ofdm import INDICES, SPACING_HZ
from foundation.signal import Link, Signal

_TONES = 56
CHANNEL_6_HZ = 2.437e9
_OTHER = "other arrays are read by the format 'arrays', with a layout"


def sniff(head: bytes) -> bool:
    """True for a NumPy array file of any shape; `read` checks the shape."""
    return head.startswith(NPY_MAGIC)


def read(path: Path, *, carrier_hz: float = CHANNEL_6_HZ, interval_s: float = 0.01) -> list[Signal]:
    """Read one file: one signal per window, or one signal for a complete execution.

    Amplitudes that are zero, negative or not finite were not measured: they are marked invalid, with a warning. A
    window without any valid amplitude is dropped, with a warning. Windows may overlap; all have the file as session.

    Args:
        carrier_hz: carrier frequency, which the file does not store; the default is that of the dataset.
        interval_s: nominal seconds between packets; the default is that of the dataset.

    Returns:
        Per signal values [packets, 1, 56], real.

    Raises:
        ReadError: the file is missing, empty, truncated, of another shape or type, or has no valid amplitude.
    """
    windows = _windows(parse_npy(read_bytes(path), str(path)), path)
    measured = np.isfinite(windows) & (windows > 0)
    usable = measured.any(axis=(1, 2))
    if not usable.any():
        raise ReadError(f"{path}: no amplitude is finite and positive; expected amplitudes, not differences or logs.")
    if not measured.all():
        warnings.warn(
            f"{path}: {int((~measured).sum())} of {measured.size} amplitudes are not finite and positive and are "
            f"marked invalid; {int((~usable).sum())} of {len(windows)} windows have no valid amplitude and are dropped",
            stacklevel=2,
        )
    return [
        Signal(
            values=np.where(valid, window, 0)[:, None, :].astype(np.complex64),
            valid=valid[:, None, :],
            time_s=np.arange(len(window), dtype=np.float64) * interval_s,
            links=(Link(),),
            frequency_hz=INDICES[_TONES] * np.float64(SPACING_HZ),
            kind="csi-amplitude",
            carrier_hz=carrier_hz,
            bandwidth_hz=20e6,
            is_real=True,
            device="ESP32",
            session=path.stem,
        )
        for window, valid in zip(windows[usable], measured[usable], strict=True)
    ]


def _windows(array: NDArray, path: Path) -> NDArray[np.float64]:
    """Bring any accepted layout into float [windows, packets, 56]."""
    if array.dtype.kind not in "fiu":
        raise ReadError(
            f"{path}: holds {array.dtype} entries; expected real amplitudes (a labels file ends in -y.npy); {_OTHER}."
        )
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 3 and 0 not in array.shape:
        if array.shape[1] == _TONES:
            return array.swapaxes(1, 2).astype(np.float64)
        if array.shape[2] == _TONES:
            return array.astype(np.float64)
    raise ReadError(
        f"{path}: has shape {array.shape}; expected [56, packets], [windows, 56, packets] or the same with the 56 "
        f"subcarriers last; {_OTHER}."
    )
