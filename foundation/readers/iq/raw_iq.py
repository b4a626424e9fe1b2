"""Read raw interleaved IQ samples (`.iq`, `.cs8`, `.cu8`, `.cfile`, ... of GNU Radio, HackRF, RTL-SDR, USRP).

There is no header, so the format cannot be detected and the caller gives all parameters. Usual data types: `cf32_le` of
GNU Radio (NumPy's complex64), `ci16_le` of UHD and bladeRF, `ci8` of HackRF, `cu8` of RTL-SDR.
"""

from __future__ import annotations

from pathlib import Path

from foundation.readers.files import given_or_stated, read_bytes
from foundation.readers.iq.baseband import datatype_of, decode, signal_of
from foundation.signal import Signal


def sniff(head: bytes) -> bool:
    """Always False: any bytes may be raw samples."""
    return False


def read(path: Path, *, datatype: str, sample_rate_hz: float, carrier_hz: float = 0.0) -> Signal:
    """Read one recording of one channel; an incomplete last sample is left out, with a warning.

    Args:
        datatype: a name of SigMF, see `foundation.readers.iq.baseband.DATATYPES`.
        sample_rate_hz: samples per second.
        carrier_hz: centre frequency; 0 means unknown.

    Returns:
        Values [samples, 1, 1], integers scaled to full scale.

    Raises:
        ReadError: the file is missing, empty or shorter than a sample, no sample is finite, or the data type or the
            rate is invalid.
    """
    where = str(path)
    return signal_of(
        decode(
            read_bytes(path), datatype_of(datatype, where), 1, where
        ),  # not bound to a name, so that it is freed after conversion
        sample_rate_hz,
        where,
        carrier_hz=given_or_stated(carrier_hz, 0.0, "carrier_hz", where),
        session=path.stem,
    )
