"""Streams over damaged shards: errors that say what to run, and single corrupt samples skipped, counted and named."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.manifests import reseal
from helpers.streams import rows_of, stream_of

from foundation.data.shards.corpus import read_part
from foundation.data.shards.manifest import Manifest
from foundation.data.stream import BAD_SAMPLES
from foundation.data.webdataset import pipeline
from foundation.errors import ShardError


@pytest.fixture
def copy(shards_dir: Path, tmp_path: Path) -> Path:
    """Shards that a test may damage."""
    return Path(shutil.copytree(shards_dir, tmp_path / "copy"))


def test_a_missing_shard_is_named_at_once(copy: Path) -> None:
    shard = Manifest.load(copy).shards[0].file
    (copy / shard).unlink()
    for read in (stream_of, read_part):
        with pytest.raises(ShardError, match=rf"shard {shard} of the manifest is missing; restore it or rebuild"):
            read(copy)


def _cut(data: bytes, at: int) -> bytes:
    return data[:at]


def _garbage(data: bytes, at: int) -> bytes:
    return data[:at] + b"\x55" * 1024 + data[at + 1024 :]


@pytest.mark.parametrize(
    ("damage", "at"), [(_cut, 0), (_cut, 100), (_cut, 5000), (_cut, 2**20), (_garbage, 0), (_garbage, -1)]
)
def test_a_damaged_tar_is_an_error_that_says_what_to_run(copy: Path, damage: Callable, at: int) -> None:
    shard = Manifest.load(copy).shards[0].file
    path = copy / shard
    if at == -1:  # the header of a member in the middle, which tarfile takes for the end of the archive
        with tarfile.open(path) as tar:
            at = tar.getmembers()[9].offset
    path.write_bytes(damage(path.read_bytes(), at))
    reseal(copy)  # whoever damaged it on purpose could do so too
    for read in (lambda: read_part(copy), lambda: list(stream_of(copy)), lambda: list(pipeline(copy))):
        with pytest.raises(ShardError, match=rf"{copy}.*(run 'wfm shards verify {copy}'|do not fit into {at} bytes)"):
            read()


def _spoil(directory: Path, chosen: Callable[[int], bool], content: bytes = b"not an array") -> list[str]:
    """Replace the arrays of some samples by rubbish, in tars that are otherwise in order; their keys."""
    spoilt, number = [], 0
    for shard in Manifest.load(directory).shards:
        path = directory / shard.file
        with tarfile.open(path) as tar:
            members = [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
        with tarfile.open(path, "w") as tar:
            for member, data in members:
                if member.name.endswith(".signal.npy"):
                    number += 1
                    if chosen(number):
                        spoilt.append(member.name.removesuffix(".signal.npy"))
                        data = content
                member.size = len(data)
                tar.addfile(member, fileobj=io.BytesIO(data))
    reseal(directory)
    return spoilt


def test_a_corrupt_sample_is_skipped_counted_and_named(
    copy: Path, by_session: dict[str, list[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    keys = _spoil(copy, lambda number: number in (5, 77, 200))
    stream = stream_of(copy, split=None, part=None, batch_size=10, steps=40)
    rows = rows_of(stream)
    assert len(set(rows)) == len(rows) == 397
    assert set(rows) <= {row for of_session in by_session.values() for row in of_session}
    assert stream.skipped == 3
    said = capsys.readouterr().out
    assert all(f":{key}: cannot be decoded" in said for key in keys)
    with pytest.raises(ShardError, match=rf":{keys[0]}: cannot be decoded"):
        read_part(copy)


def test_a_sample_that_contradicts_itself_is_corrupt_too(copy: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 2, 32), np.complex64))
    (key,) = _spoil(copy, lambda number: number == 5, buffer.getvalue())
    stream = stream_of(copy, split=None, part=None, batch_size=10, steps=40)
    assert len(rows_of(stream)) == 399
    assert stream.skipped == 1
    for read in (read_part, lambda directory: list(pipeline(directory))):
        with pytest.raises(
            ShardError, match=rf":{key}: (Signal\.time_s has shape|cannot be decoded \(an axis has 128 entries)"
        ):
            read(copy)


def test_too_many_corrupt_samples_stop_the_stream(copy: Path) -> None:
    _spoil(copy, lambda number: number % 2 == 0)
    with pytest.raises(ShardError, match=f"more than {BAD_SAMPLES} samples cannot be decoded"):
        list(stream_of(copy))
