"""Read POWDER radio fingerprints: IQ recordings of base stations, `.bin` of complex64 with a `.json` description.

The description has the field names of SigMF, but `captures` and `annotations` are objects, not lists. Source: Reus-
Muns, Jaisinghani, Sankhe and Chowdhury, Trust in 5G Open RANs through Machine Learning: RF Fingerprinting on the POWDER
PAWR Platform, GLOBECOM 2020.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from foundation.errors import ReadError
from foundation.readers.files import parse_json, plain_text, read_bytes, whole_records
from foundation.readers.iq.baseband import check_rate
from foundation.signal import Link, Signal

_DATATYPES = {"cf32", "cf32_le", "complex64", "float32_complex"}


def sniff(head: bytes) -> bool:
    """True for the start of a JSON description with a transmitter."""
    text = plain_text(head).lstrip()
    return text.startswith(b"{") and b'"core:' in text and b'"transmitter"' in text


def read(path: Path) -> Signal:
    """Read one recording, given its `.json` or its `.bin`.

    The label `transmitter` is the location of the base station in lower case. Samples that are not finite are invalid.
    An incomplete last sample is left out, with a warning.

    Returns:
        Values [samples, 1, 1] of kind "iq", as stored.

    Raises:
        ReadError: a file is missing, empty or damaged, or the description lacks the sample rate or has another type.
    """
    path = Path(path)
    about = _description(path.with_suffix(".json"))
    data_path = path.with_suffix(".bin")
    data = read_bytes(data_path)
    values = np.frombuffer(data, "<c8", whole_records(len(data), 8, str(data_path), "sample of complex64"))
    valid = np.isfinite(values)
    if not valid.any():
        raise ReadError(f"{data_path}: none of its {len(values)} samples is finite; expected complex64, copy it again.")
    rate_hz = _number(about, path, "global", "core:sample_rate")
    check_rate(rate_hz, str(path))
    location = _at(about, "annotations", "transmitter", "core:location")
    return Signal(
        values=np.where(valid, values, 0)[:, None, None],
        valid=valid[:, None, None],
        time_s=np.arange(len(values)) / rate_hz,
        links=(Link(),),
        frequency_hz=np.zeros(1),
        kind="iq",
        carrier_hz=_number(about, path, "captures", "core:center_frequency"),
        bandwidth_hz=rate_hz,
        device=str(_at(about, "global", "core:hw") or ""),
        session=path.stem,
        labels={"transmitter": str(location).strip().lower()} if location else {},
    )


def _description(path: Path) -> dict[str, Any]:
    about = parse_json(read_bytes(path), str(path))
    datatype = str(_at(about, "global", "core:datatype")).lower()
    if datatype not in _DATATYPES:
        raise ReadError(f"{path}: core:datatype is {datatype[:40]!r}; expected cf32, the only type of this dataset.")
    return dict(about)


def _at(about: Any, *names: str) -> Any:
    """The value under these nested names, or None."""
    for name in names:
        about = about.get(name) if isinstance(about, dict) else None
    return about


def _number(about: dict[str, Any], path: Path, *names: str) -> float:
    found = _at(about, *names)
    try:
        number = float(found)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number <= 0:
        where = path.with_suffix(".json")
        raise ReadError(
            f"{where}: {'.'.join(names)} is {str(found)[:40]!r}; expected hertz above 0: correct the .json."
        )
    return number
