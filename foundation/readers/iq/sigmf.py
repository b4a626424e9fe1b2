"""Read SigMF recordings: `NAME.sigmf-meta` (JSON) and `NAME.sigmf-data` (samples), or both in a `.sigmf` tar archive.

Source: SigMF specification 1.2 (https://sigmf.org). `foundation.readers.iq.sigmf_metadata` parses and checks the
metadata. Archives are read in memory: nothing is extracted.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path, PurePosixPath

from foundation.errors import ReadError
from foundation.readers.arrays.tar import is_tar, members
from foundation.readers.files import given_or_stated, gunzip, gunzip_head, plain_text, read_bytes, whole_records
from foundation.readers.iq.baseband import decode, sample_bytes, signal_of
from foundation.readers.iq.sigmf_metadata import Metadata, parse
from foundation.signal import Signal

META, DATA = ".sigmf-meta", ".sigmf-data"


def sniff(head: bytes) -> bool:
    """True for a JSON object with `core` fields of SigMF, and for a tar archive whose first members are SigMF files."""
    head = gunzip_head(head)
    if is_tar(head):
        return b".sigmf-" in head
    text = plain_text(head).lstrip()
    return text.startswith(b"{") and b'"core:' in text


def read(path: Path, *, sample_rate_hz: float | None = None, carrier_hz: float | None = None) -> list[Signal]:
    """Read a recording (given its `.sigmf-meta`) or all recordings of an archive, plain or gzip-compressed.

    One signal per capture segment, split further wherever a labelled annotation begins or ends, so that each has one
    `label` or none; where different labels overlap in time there is none, with a warning. Time starts at 0 in each.
    Sample indices count from `core:offset` if that of the first capture does, else from the start of the file. An
    annotation without `core:sample_count` lasts to the end of its capture. What a dataset lacks at its end is left out,
    with a warning.

    Args:
        sample_rate_hz: sample rate; None takes `core:sample_rate`. Where both are there and differ, a warning.
        carrier_hz: centre frequency of every capture; None takes `core:frequency`, likewise.

    Returns:
        Per signal values [samples, channels, 1], integers scaled to full scale.

    Raises:
        ReadError: a file is missing, empty, truncated, fails its checksum, or does not match its metadata.
    """
    data = gunzip(read_bytes(path), path)
    given = (sample_rate_hz, carrier_hz)
    if not is_tar(data):
        meta = parse(data, str(path))
        dataset = path.parent / (meta.dataset or path.with_suffix(DATA).name)
        return _signals(meta, read_bytes(dataset), path.stem, *given)
    found = members(data, path)
    signals: list[Signal] = []
    problems: list[str] = []
    for name in sorted(name for name in found if name.endswith(META)):
        member, where = PurePosixPath(name), f"{path}, member {name}"
        try:
            meta = parse(bytes(found[name]), where)
            content = found.get(str(member.parent / (meta.dataset or member.with_suffix(DATA).name)))
            if not content:
                raise ReadError(f"{where}: its dataset is empty or not in the archive; pack the recording again.")
            signals += _signals(meta, content, member.stem, *given)
        except ReadError as error:
            problems.append(str(error))
    if not signals:
        raise ReadError(
            problems[0]
            if problems
            else f"{path}: the archive has no member that ends in {META}; expected a SigMF archive."
        )
    if problems:
        warnings.warn(f"{len(problems)} recordings of the archive are left out, the first: {problems[0]}", stacklevel=2)
    return signals


def _signals(
    meta: Metadata, data: bytes | memoryview, session: str, sample_rate_hz: float | None, carrier_hz: float | None
) -> list[Signal]:
    if meta.sha512 and meta.sha512 != hashlib.sha512(data).hexdigest():
        raise ReadError(
            f"{meta.where}: the dataset does not have the checksum core:sha512; it is damaged, copy it again."
        )
    rate = given_or_stated(sample_rate_hz, meta.sample_rate_hz, "sample_rate_hz", meta.where)
    if rate == 0:
        raise ReadError(
            f"{meta.where}: the metadata has no usable core:sample_rate, so the times of the samples are unknown; add "
            "it there or give the reader sample_rate_hz=RATE."
        )
    size = sample_bytes(meta.datatype, meta.channels)
    total = _whole_samples(meta, len(data), size)
    stated = {capture.frequency_hz for capture in meta.captures}
    carriers = {hertz: given_or_stated(carrier_hz, hertz, "carrier_hz", meta.where) for hertz in stated}
    return [
        signal_of(
            decode(memoryview(data)[at : at + (stop - first) * size], meta.datatype, meta.channels, meta.where),
            rate,
            f"{meta.where}, samples {first} to {stop - 1}",
            carrier_hz=carriers[capture.frequency_hz],
            device=meta.device,
            licence=meta.licence,
            session=session,
            labels=labels,
        )
        for first, stop, capture, labels in meta.pieces(total)
        for at in [capture.skipped + first * size]
    ]


def _whole_samples(meta: Metadata, length: int, size: int) -> int:
    """Count the samples up to the end of the last capture of which there is one; warns of an incomplete last sample."""
    following = None
    for capture in reversed(meta.captures):
        inside = length - capture.skipped - meta.trailing_bytes
        if inside // size > capture.start:
            if following is not None and following.start * size <= inside:  # its header is there, and not one sample
                return following.start
            return whole_records(inside, size, meta.where, "sample")
        following = capture
    raise ReadError(
        f"{meta.where}: the first capture starts at sample {capture.start}, but the dataset's {length} bytes, less "
        f"{capture.skipped + meta.trailing_bytes} of headers and trailer, hold {max(0.0, inside / size):g} samples of "
        f"{size} bytes; copy the dataset again or correct core:sample_start, core:offset or core:datatype."
    )
