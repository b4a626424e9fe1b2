"""Read SigMF recordings: `NAME.sigmf-meta` (JSON) and `NAME.sigmf-data` (samples), or both in a `.sigmf` tar archive.

Source: SigMF specification 1.2 (https://sigmf.org). `foundation.readers.iq.sigmf_metadata` parses and checks the
metadata. Archives are read in memory: nothing is extracted.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from foundation.errors import ReadError
from foundation.readers.arrays.tar import is_tar, members
from foundation.readers.files import read_bytes
from foundation.readers.iq.baseband import decode, signal_of
from foundation.readers.iq.sigmf_metadata import Metadata, parse
from foundation.signal import Signal

META, DATA = ".sigmf-meta", ".sigmf-data"


def sniff(head: bytes) -> bool:
    """True for a JSON object with `core` fields of SigMF, and for a tar archive whose first members are SigMF files."""
    if is_tar(head):
        return b".sigmf-" in head
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") and b'"core:' in head


def read(path: Path, *, sample_rate_hz: float = 0.0) -> list[Signal]:
    """Read a recording (given its `.sigmf-meta`) or all recordings of an archive.

    One signal per capture segment, split further wherever a labelled annotation begins or ends, so that each has one
    `label` or none; where different labels overlap in time there is none, with a warning. Time starts at 0 in each.
    Sample indices count from `core:offset` if that of the first capture does, else from the start of the file. An
    annotation without `core:sample_count` lasts to the end of its capture.

    Args:
        sample_rate_hz: sample rate of recordings without `core:sample_rate`; ignored for the others.

    Returns:
        Per signal values [samples, channels, 1], integers scaled to full scale.

    Raises:
        ReadError: a file is missing, empty, truncated, fails its checksum, or does not match its metadata.
    """
    data = read_bytes(path)
    if not is_tar(data):
        meta = parse(data, str(path))
        dataset = path.parent / (meta.dataset or path.with_suffix(DATA).name)
        return _signals(meta, read_bytes(dataset), path.stem, sample_rate_hz)
    found = members(data, path)
    signals: list[Signal] = []
    for name in sorted(name for name in found if name.endswith(META)):
        meta = parse(bytes(found[name]), f"{path}, member {name}")
        member = PurePosixPath(name)
        content = found.get(str(member.parent / (meta.dataset or member.with_suffix(DATA).name)))
        if not content:
            raise ReadError(f"{meta.where}: its dataset is empty or not in the archive; pack the recording again.")
        signals += _signals(meta, content, member.stem, sample_rate_hz)
    if not signals:
        raise ReadError(f"{path}: the archive has no member that ends in {META}; expected a SigMF archive.")
    return signals


def _signals(meta: Metadata, data: bytes | memoryview, session: str, sample_rate_hz: float) -> list[Signal]:
    if meta.sha512 and meta.sha512 != hashlib.sha512(data).hexdigest():
        raise ReadError(
            f"{meta.where}: the dataset does not have the checksum core:sha512; it is damaged, copy it again."
        )
    rate = meta.sample_rate_hz or sample_rate_hz
    if rate == 0:
        raise ReadError(
            f"{meta.where}: the metadata has no core:sample_rate, so the times of the samples are unknown; add it "
            "there or give the reader sample_rate_hz=RATE."
        )
    is_complex, component = meta.datatype
    size = component.itemsize * (2 if is_complex else 1) * meta.channels
    last = meta.captures[-1]
    total, rest = divmod(len(data) - last.skipped - meta.trailing_bytes, size)
    if rest or total <= last.start:
        raise ReadError(
            f"{meta.where}: the last capture starts at sample {last.start}, but the dataset's {len(data)} bytes, "
            f"less {last.skipped + meta.trailing_bytes} of headers and trailer, hold {max(0.0, total + rest / size):g} "
            f"samples of {size} bytes; copy the dataset again or correct core:sample_start, core:offset or "
            "core:datatype."
        )
    return [
        signal_of(
            decode(memoryview(data)[at : at + (stop - first) * size], meta.datatype, meta.channels, meta.where),
            rate,
            f"{meta.where}, samples {first} to {stop - 1}",
            carrier_hz=capture.frequency_hz,
            device=meta.device,
            licence=meta.licence,
            session=session,
            labels=labels,
        )
        for first, stop, capture, labels in meta.pieces(total)
        for at in [capture.skipped + first * size]
    ]
