"""Verify a shard directory against its manifest, and print its contents."""

from __future__ import annotations

import hashlib
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from foundation.data.shards.manifest import Manifest, Shard, count_sessions, sha256_of
from foundation.data.shards.spec import split_problems
from foundation.data.shards.worker_pool import in_order
from foundation.errors import WfmError
from foundation.signal import decode


@dataclass
class _Report:
    """Result of verifying one shard.

    Attributes:
        samples: key, and a hash of the stored values or None where the sample cannot be read.
    """

    file: str
    problems: list[str] = field(default_factory=list)
    samples: list[tuple[str, bytes | None]] = field(default_factory=list)


@dataclass
class _Index:
    """Samples verified so far: key -> shard, and content hash -> key."""

    keys: dict[str, str] = field(default_factory=dict)
    contents: dict[bytes, str] = field(default_factory=dict)


def verify(directory: Path, *, workers: int = 1) -> list[str]:
    """Read every byte of every shard; returns the problems, one sentence each.

    Raises:
        ShardError: there is no readable manifest to verify against.
    """
    manifest = Manifest.load(directory)
    index = _Index()
    problems: list[str] = []
    shards = [(directory, shard) for shard in manifest.shards]
    with (
        Progress(console=Console(stderr=True), transient=True) as progress,
        closing(in_order(_verify_shard, shards, workers)) as reports,
    ):
        for report in progress.track(reports, total=len(shards), description=f"verify {manifest.name}"):
            problems += report.problems + _verify_unique(report, index)
    problems += _verify_totals(manifest, index)
    known = {shard.file for shard in manifest.shards}
    extra = sorted(path.name for path in directory.glob("*.tar") if path.name not in known)
    problems += [f"{name}: is not in the manifest; remove it." for name in extra]
    return problems


def _verify_totals(manifest: Manifest, index: _Index) -> list[str]:
    problems = split_problems(manifest.splits, count_sessions(manifest.shards))
    problems += [
        f"manifest: {name} appears {count} times among the shards."
        for name, count in Counter(shard.file for shard in manifest.shards).items()
        if count > 1
    ]
    stated = sum(shard.count for shard in manifest.shards)
    if stated != manifest.count:
        problems.append(f"manifest: count is {manifest.count} but its shards add up to {stated}.")
    if len(index.keys) != manifest.count:
        problems.append(f"manifest: count is {manifest.count} but the shards hold {len(index.keys)} different samples.")
    return problems


def _verify_unique(report: _Report, index: _Index) -> list[str]:
    """Check the keys and contents of a shard against those of the shards before it, and add them to the index."""
    problems: list[str] = []
    for key, content in report.samples:
        where = f"{report.file}: {key}"
        if key in index.keys:
            problems.append(f"{where}: the key is a duplicate; it is in {index.keys[key]} too.")
        index.keys.setdefault(key, report.file)
        twin = key if content is None else index.contents.setdefault(content, key)
        if twin != key:
            problems.append(f"{where}: has the same values as {twin}; one recording is in the set twice.")
    return problems


def _verify_shard(item: tuple[Path, Shard]) -> _Report:
    """Verify one shard by itself."""
    directory, shard = item
    path, report = directory / shard.file, _Report(shard.file)
    problems = report.problems
    if not path.is_file():
        problems.append(f"{shard.file}: is missing; copy it again or rebuild.")
        return report
    size = path.stat().st_size
    if size != shard.bytes:
        problems.append(f"{shard.file}: has {size} bytes, the manifest says {shard.bytes}; copy it again or rebuild.")
    elif sha256_of(path) != shard.sha256:
        problems.append(f"{shard.file}: its bytes changed since it was built (sha256); copy it again or rebuild.")
    sessions: Counter[str] = Counter()
    try:
        for key, members in _samples(path, problems):
            _verify_sample(report, key, members, sessions)
    except (tarfile.TarError, EOFError, OSError) as error:
        problems.append(f"{shard.file}: the tar cannot be read to its end ({error}); copy it again or rebuild.")
    if sessions.total() != shard.count:
        problems.append(f"{shard.file}: holds {sessions.total()} readable samples, the manifest says {shard.count}.")
    elif dict(sessions) != shard.sessions:
        problems.append(f"{shard.file}: the sessions of its samples are not those in the manifest.")
    return report


def _samples(path: Path, problems: list[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Consecutive members with one key. Members that are unsafe to extract are reported."""
    key, members = "", dict[str, bytes]()
    with tarfile.open(path, mode="r:") as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or not member.isfile():
                problems.append(
                    f"{path.name}: member {member.name!r} is not a plain file inside the archive; do not unpack it."
                )
                continue
            prefix, _, extension = member.name.partition(".")
            if members and (prefix != key or extension in members):
                yield key, members
                members = {}
            key = prefix
            file = tar.extractfile(member)
            members[extension] = file.read() if file else b""
    if members:
        yield key, members


def _verify_sample(report: _Report, key: str, members: dict[str, bytes], sessions: Counter[str]) -> None:
    try:
        signal = decode(members, f"{report.file}: {key}")
    except WfmError as error:
        report.problems.append(str(error))
        report.samples.append((key, None))
        return
    sessions[signal.session] += 1
    # A few whole decibels: two positions may well have equal values.
    content = None if signal.kind == "rssi" else hashlib.sha256(members["signal.npy"]).digest()[:16]
    report.samples.append((key, content))


def info(directory: Path) -> dict[str, Any]:
    """The manifest of a shard directory as plain types, without the list of shards.

    Raises:
        ShardError: there is no readable manifest.
    """
    manifest = Manifest.load(directory)
    described = manifest.model_dump(mode="json", exclude={"shards", "splits"})
    described["shards"] = len(manifest.shards)
    described["sessions"] = len(count_sessions(manifest.shards))
    return described


def print_info(directory: Path, console: Console | None = None) -> None:
    """Print `info` as a table."""
    described = info(directory)
    summary = described.pop("summary")
    table = Table("", "", title=described.pop("title"), show_header=False)
    for name, value in {**described, **summary}.items():
        if value not in (None, "", {}, []):
            table.add_row(name, _plain(value))
    (console or Console()).print(table)


def _plain(value: Any, joint: str = "\n") -> str:
    if isinstance(value, dict):
        return joint.join(f"{name}: {_plain(inner, ', ')}" for name, inner in value.items())
    if isinstance(value, list):
        return "; ".join(map(_plain, value)) if isinstance(value[0], list) else " to ".join(map(_plain, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
