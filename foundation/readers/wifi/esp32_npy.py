"""ESP32 Wi-Fi CSI amplitudes in `.npy` files, as in the stability-csi-har dataset (HT-LTF, 20 MHz, 56 subcarriers).

The files hold nothing but numbers: [56, packets] for a whole execution or [windows, 56, packets]; [packets, 56] and
[windows, packets, 56] are read too. All else is known from the dataset's description: amplitudes without phase, channel
6, about 100 packets per second, receive times not kept. The order of the subcarriers is not stated there. The data show
it: the mean amplitude is as smooth between rows 28 and 29 as anywhere else, where the ESP32's own buffer order (1..28,
then -28..-1) would jump from one band edge to the other; so rows run along frequency, taken as upward.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.arrays.npy import parse_npy
from foundation.readers.files import read_bytes
from foundation.signal import Link, Signal

NPY_MAGIC = b"\x93NUMPY"
#: HT-LTF subcarriers of a 20 MHz channel (IEEE 802.11n-2009, 20.3.9.4.6).
INDICES = np.array([*range(-28, 0), *range(1, 29)])
SPACING_HZ = 312_500.0
CHANNEL_6_HZ = 2.437e9
_OWN = "an array of your own is read by the format 'arrays', with a layout"


def sniff(head: bytes) -> bool:
    """True for a NumPy array file, whatever its shape; `read` says what is wrong with it."""
    return head.startswith(NPY_MAGIC)


def read(path: Path, *, carrier_hz: float = CHANNEL_6_HZ, interval_s: float = 0.01) -> list[Signal]:
    """Read one file: one signal per window, or one signal for a whole execution; values [packets, 1, 56], real.

    Amplitudes that are zero, negative or not finite were not measured: they are marked invalid, with a warning. A
    window without any valid amplitude is dropped, with a warning. Windows may overlap; all carry the file as session.

    Args:
        carrier_hz: the carrier, which the file does not store; the default is the dataset's.
        interval_s: seconds between packets, nominal; the default is the dataset's.

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
            f"marked invalid; {int((~usable).sum())} of {len(windows)} windows have no other and are dropped",
            stacklevel=2,
        )
    return [
        Signal(
            values=np.where(valid, window, 0)[:, None, :].astype(np.complex64),
            valid=valid[:, None, :],
            time_s=np.arange(len(window), dtype=np.float64) * interval_s,
            links=(Link(),),
            frequency_hz=INDICES * SPACING_HZ,
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
    """Any accepted layout -> float [windows, packets, 56]."""
    if array.dtype.kind not in "fiu":
        raise ReadError(
            f"{path}: holds {array.dtype} entries; expected real amplitudes (a labels file ends in -y.npy); {_OWN}."
        )
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 3 and 0 not in array.shape:
        if array.shape[1] == len(INDICES):
            return array.swapaxes(1, 2).astype(np.float64)
        if array.shape[2] == len(INDICES):
            return array.astype(np.float64)
    raise ReadError(
        f"{path}: has shape {array.shape}; expected [56, packets], [windows, 56, packets] or the same with the 56 "
        f"subcarriers last; {_OWN}."
    )
