"""Read RadCom (RadarCommDataset), radar and communication waveforms in HDF5: one array of 256 numbers per example.

Its key is the text of a tuple, `('BPSK', 'SATCOM', '-4', '17')`: modulation, signal type, SNR in dB, number; the values
are 128 samples of I, then 128 of Q, at 10 MS/s. Source: Jagannath and Jagannath, Multi-task Learning Approach for
Modulation and Wireless Signal Classification for 5G and Beyond, 2021;
https://github.com/ANDROComputationalSolutions/RadarCommDataset.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from pathlib import Path

from foundation.errors import ReadError
from foundation.readers.arrays.hdf5 import HDF5_MAGIC, Hdf5File
from foundation.readers.files import read_bytes
from foundation.readers.iq.baseband import example_of
from foundation.signal import Label, Signal

SAMPLE_RATE_HZ = 10e6
SAMPLES = 128
#: Examples read at a time.
_BLOCK = 1024


def sniff(head: bytes) -> bool:
    """True for every HDF5 file: its first bytes do not include the keys, so `read` checks these."""
    return head.startswith(HDF5_MAGIC)


def read(path: Path) -> list[Signal]:
    """Read every example of a file, see `stream`."""
    return list(stream(path))


def stream(path: Path) -> Iterator[Signal]:
    """Read one signal per example, in the order of the keys, block by block.

    Labels: `modulation`, `waveform` (the signal type) and `snr` in dB.

    Yields:
        Signals with values [128, 1, 1] of kind "iq".

    Raises:
        ReadError: the file is missing, damaged or not HDF5, a key is not such a tuple, or an example has a wrong
            length.
    """
    path = Path(path)
    if not sniff(read_bytes(path, len(HDF5_MAGIC))):
        raise ReadError(f"{path}: is not an HDF5 file; expected a file of the RadCom dataset, download it again.")
    with Hdf5File(path) as file:
        keys = file.keys()
        if not keys:
            raise ReadError(f"{path}: contains no example; expected a file of the RadCom dataset, download it again.")
        labels = [_labels(key, path) for key in keys]
        for start in range(0, len(keys), _BLOCK):
            block = file.stack(keys[start : start + _BLOCK], 2 * SAMPLES)
            if block[0].size != 2 * SAMPLES:
                raise ReadError(
                    f"{path}: {keys[start]} has shape {block[0].shape}; expected 128 samples of I, then 128 of Q."
                )
            for parts, label in zip(block.reshape(-1, 2, SAMPLES), labels[start : start + _BLOCK], strict=True):
                yield example_of(parts, SAMPLE_RATE_HZ, path.stem, label)


def labels(path: Path) -> list[dict[str, Label]]:
    """Read only the labels of all examples, in the order of `stream`."""
    with Hdf5File(path) as file:
        keys = file.keys()
    return [_labels(key, path) for key in keys]


def _labels(key: str, path: Path) -> dict[str, Label]:
    """Parse the labels of an example from its key."""
    try:
        modulation, waveform, text, _ = ast.literal_eval(key if len(key) < 200 else "()")
        snr = float(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        snr = math.nan
    if not math.isfinite(snr):
        raise ReadError(
            f"{path}: key {key[:80]!r} is not (modulation, signal, SNR, number) of the RadCom dataset: "
            "other HDF5 files need a layout, see foundation.readers.arrays.reader."
        )
    return {"modulation": str(modulation), "waveform": str(waveform), "snr": snr}
