"""RadCom (RadarCommDataset), radar and communication waveforms in HDF5: one data set of 256 numbers per example.

Its key is the text of a tuple, `('BPSK', 'SATCOM', '-4', '17')`: modulation, signal type, SNR in dB, number; the values
are 128 times I, then 128 times Q, at 10 MS/s. Jagannath and Jagannath, Multi-task Learning Approach for Modulation and
Wireless Signal Classification for 5G and Beyond, 2021; https://github.com/ANDROComputationalSolutions/RadarCommDataset.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from foundation.errors import ReadError
from foundation.readers.arrays.hdf5 import Hdf5File
from foundation.readers.files import read_bytes
from foundation.signal import Link, Signal

SAMPLE_RATE_HZ = 10e6
SAMPLES = 128
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_BLOCK = 1024


def sniff(head: bytes) -> bool:
    """True for every HDF5 file: the keys are not in its beginning, so `read` says what is wrong with it."""
    return head.startswith(_HDF5_MAGIC)


def read(path: Path) -> list[Signal]:
    """Every example of a file, see `stream`."""
    return list(stream(path))


def stream(path: Path) -> Iterator[Signal]:
    """One signal [128, 1, 1] of kind "iq" per example, in the order of the keys, without loading all of the file.

    Labels: `modulation`, `waveform` (the signal type) and `snr` in dB.

    Raises:
        ReadError: the file is missing, damaged or no HDF5 file, a key is no such tuple, an example has another length.
    """
    path = Path(path)
    if not sniff(read_bytes(path, len(_HDF5_MAGIC))):
        raise ReadError(f"{path}: is no HDF5 file; expected a file of the RadCom set, download it again.")
    with Hdf5File(path) as file:
        keys = file.keys()
        if not keys:
            raise ReadError(f"{path}: holds nothing; expected a file of the RadCom set, download it again.")
        labels = [_labels(key, path) for key in keys]
        for start in range(0, len(keys), _BLOCK):
            block = file.stack(keys[start : start + _BLOCK], 2 * SAMPLES)
            if block[0].size != 2 * SAMPLES:
                raise ReadError(f"{path}: {keys[start]} has shape {block[0].shape}; expected 128 times I, then Q.")
            for parts, label in zip(block.reshape(-1, 2, SAMPLES), labels[start : start + _BLOCK], strict=True):
                yield Signal(
                    values=np.ascontiguousarray(parts.T).view(np.complex64)[:, :, None],
                    valid=(np.isfinite(parts[0]) & np.isfinite(parts[1]))[:, None, None],
                    time_s=np.arange(SAMPLES) / SAMPLE_RATE_HZ,
                    links=(Link(),),
                    frequency_hz=np.zeros(1),
                    kind="iq",
                    carrier_hz=0.0,
                    bandwidth_hz=SAMPLE_RATE_HZ,
                    session=path.stem,
                    labels=label,
                )


def labels(path: Path) -> list[dict[str, str | float]]:
    """The labels of all examples, in the order of `stream`, without reading the examples."""
    with Hdf5File(path) as file:
        keys = file.keys()
    return [_labels(key, path) for key in keys]


def _labels(key: str, path: Path) -> dict[str, str | float]:
    try:
        modulation, waveform, text, _ = ast.literal_eval(key if len(key) < 200 else "()")
        snr = float(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        snr = math.nan
    if not math.isfinite(snr):
        raise ReadError(
            f"{path}: key {key[:80]!r} is not (modulation, signal, SNR, number); expected a file of the RadCom set: "
            "other HDF5 files need a layout, see foundation.readers.arrays.reader."
        )
    return {"modulation": str(modulation), "waveform": str(waveform), "snr": snr}
