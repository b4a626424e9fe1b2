"""Verify a shard directory against its manifest, and print its contents."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from foundation.data.shards.manifest import Manifest, Shard, count_sessions
from foundation.data.shards.plausible import check_plausible
from foundation.data.shards.shapes import Shape, shape_runs
from foundation.data.shards.spec import TaskType, split_problems
from foundation.data.shards.stated_hashes import content_hash, load_stated
from foundation.data.shards.summary import Summary
from foundation.data.shards.tar_headers import members
from foundation.data.shards.tar_index import DamagedShardError, Local, sha256_of_source
from foundation.data.shards.worker_pool import in_order
from foundation.errors import ShardError, WfmError
from foundation.progress import StepProgress
from foundation.redaction import printable
from foundation.signal import decode

NAMED = 5  # duplicates that are named one by one


@dataclass(frozen=True)
class _Sample:
    """A sample: its key, its session ("" where it cannot be read), and a hash of its stored values or None."""

    key: str
    session: str
    content: bytes | None


@dataclass
class _Report:
    """Result of verifying one shard; `summary`, `shapes` and content `hashes` are of its readable samples."""

    file: str
    problems: list[str] = field(default_factory=list)
    samples: list[_Sample] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)
    shapes: list[Shape] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)


@dataclass
class _Index:
    """Samples verified so far: key -> shard, and content hash -> sample; and the sentences on duplicates."""

    keys: dict[str, str] = field(default_factory=dict)
    contents: dict[bytes, _Sample] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)


def verify(directory: Path, *, workers: int = 1) -> list[str]:
    """Read every byte of every shard; returns the problems, one sentence each.

    Two samples with equal values are a problem only where a split has them in different parts, since published data do
    hold duplicates; otherwise they are named in a warning.

    Raises:
        ShardError: there is no readable manifest to verify against.
    """
    manifest = Manifest.load(directory)
    part_of = {
        split: {session: part for part, sessions in parts.items() for session in sessions}
        for split, parts in manifest.splits.items()
    }
    index, summary = _Index(), Summary()
    problems: list[str] = []
    hashes: list[int] = []
    shards = [(directory, shard, manifest.tasks) for shard in manifest.shards]
    with (
        StepProgress(transient=True) as progress,
        closing(in_order(_verify_shard, shards, workers)) as reports,
    ):
        for report in progress.track(reports, total=len(shards), description=f"verify {manifest.name}"):
            problems += report.problems + _verify_unique(report, index, part_of)
            hashes += report.hashes
            try:
                summary.merge(report.summary, report.file)
            except ShardError as error:
                problems.append(str(error))
    problems += _verify_totals(manifest, index)
    if not problems:
        problems += _verify_summary(manifest, summary) + _verify_hashes(directory, manifest, hashes)
    known = {shard.file for shard in manifest.shards}
    extra = sorted(path.name for path in directory.glob("*.tar") if path.name not in known)
    problems += [f"{name}: is not in the manifest; remove it." for name in extra]
    for sentence in index.duplicates[:NAMED]:
        warnings.warn(sentence, stacklevel=2)
    if len(index.duplicates) > NAMED:
        warnings.warn(f"{directory}: and {len(index.duplicates) - NAMED} duplicates more.", stacklevel=2)
    return problems


def _verify_totals(manifest: Manifest, index: _Index) -> list[str]:
    problems = split_problems(manifest.splits, count_sessions(manifest.shards))
    for name in ("count", "bytes"):
        stated, found = getattr(manifest, name), sum(getattr(shard, name) for shard in manifest.shards)
        if stated != found:
            problems.append(f"manifest: {name} is {stated} but its shards add up to {found}.")
    if len(index.keys) != manifest.count:
        problems.append(f"manifest: count is {manifest.count} but the shards hold {len(index.keys)} different samples.")
    seen, last = set[str](), ""
    for session in (session for shard in manifest.shards for session in shard.sessions):
        if session != last and session in seen:
            problems.append(f"manifest: session {session!r} is in two places; its samples must follow each other.")
        seen.add(session)
        last = session
    return problems


def _verify_hashes(directory: Path, manifest: Manifest, hashes: list[int]) -> list[str]:
    try:
        stated = load_stated(directory, manifest)
    except ShardError as error:
        return [str(error)]
    if stated is None or np.array_equal(stated, np.array(hashes, np.uint64)):
        return []
    return [f"{manifest.name}: the content hashes beside its shards are not those of the samples; rebuild."]


def _verify_summary(manifest: Manifest, summary: Summary) -> list[str]:
    stated, found = (each.model_dump(exclude={"parts", "interval_s"}) for each in (manifest.summary, summary))
    wrong = [name for name in found if found[name] != stated[name]]
    # Time axes are stored within a millionth of a step, see `foundation.signal.codec`.
    if not np.allclose(manifest.summary.interval_s or np.nan, summary.interval_s or np.nan, rtol=1e-3, equal_nan=True):
        wrong.append("interval_s")
    return [f"manifest: summary.{name} is not that of the samples; rebuild." for name in wrong]


def _verify_unique(report: _Report, index: _Index, part_of: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Check the keys and contents of a shard against those of the shards before it, and add them to the index."""
    problems: list[str] = []
    for sample in report.samples:
        where = f"{report.file}: {sample.key}"
        if sample.key in index.keys:
            problems.append(f"{where}: the key is a duplicate; it is in {index.keys[sample.key]} too.")
        index.keys.setdefault(sample.key, report.file)
        twin = sample if sample.content is None else index.contents.setdefault(sample.content, sample)
        if twin.key == sample.key:
            continue
        same = f"{where} (session {sample.session}): has the same values as {twin.key} (session {twin.session})"
        leaks = [
            f"{split!r} has them in {parts[twin.session]!r} and {parts[sample.session]!r}"
            for split, parts in part_of.items()
            if parts.get(twin.session, "") != parts.get(sample.session, "")
            and twin.session in parts
            and sample.session in parts
        ]
        if leaks:
            problems.append(f"{same}, and split {leaks[0]}; leave one of them out.")
        else:
            index.duplicates.append(f"{same}; one recording is in the set twice.")
    return problems


def _verify_shard(item: tuple[Path, Shard, Mapping[str, TaskType]]) -> _Report:
    """Verify one shard by itself."""
    directory, shard, tasks = item
    report = _Report(shard.file)
    problems = report.problems
    if not (directory / shard.file).is_file():
        problems.append(f"{shard.file}: is missing; copy it again or rebuild.")
        return report
    try:
        source = Local(directory / shard.file)
        if source.size != shard.bytes:
            problems.append(
                f"{shard.file}: has {source.size} bytes, the manifest says {shard.bytes}; copy it again or rebuild."
            )
        elif sha256_of_source(source) != shard.sha256:
            problems.append(f"{shard.file}: its bytes changed since it was built (sha256); copy it again or rebuild.")
        for key, found in _samples(source, shard.file, problems):
            _verify_sample(report, key, found, tasks)
    except DamagedShardError as error:
        problems.append(f"{error}.")
    except ValueError as error:
        problems.append(f"{shard.file}: the tar cannot be read to its end ({error}); copy it again or rebuild.")
    readable = [sample.session for sample in report.samples if sample.session]
    runs = [(session, len(list(run))) for session, run in groupby(readable)]
    if len(readable) != shard.count:
        problems.append(f"{shard.file}: holds {len(readable)} readable samples, the manifest says {shard.count}.")
    elif runs != list(shard.sessions.items()):
        problems.append(
            f"{shard.file}: the sessions of its samples, or their order, are not those in the manifest; restore the "
            "manifest as it was built, or rebuild."
        )
    elif shard.shapes and shape_runs(report.shapes) != shard.shapes:
        problems.append(f"{shard.file}: the shapes of its samples are not those in the manifest; rebuild.")
    return report


def _samples(source: Local, file: str, problems: list[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Consecutive members with one key. Members that are unsafe to extract are reported."""
    key, found = "", dict[str, bytes]()
    for member in members(source.size, source.read):
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or not member.is_file:
            problems.append(f"{file}: member {member.name!r} is not a plain file inside the archive; do not unpack it.")
            continue
        prefix, _, extension = member.name.partition(".")
        if found and (prefix != key or extension in found):
            yield key, found
            found = {}
        key = prefix
        found[extension] = source.read(member.start, member.size)
    if found:
        yield key, found


def _verify_sample(report: _Report, key: str, members: dict[str, bytes], tasks: Mapping[str, TaskType]) -> None:
    try:
        signal = decode(members, f"{report.file}: {key}")
        check_plausible(signal, f"{report.file}: {key}")
        report.summary.add(signal, tasks, f"{report.file}: {key}")
        report.shapes.append(signal.values.shape)
        report.hashes.append(content_hash(members["signal.npy"]))
    except WfmError as error:
        report.problems.append(str(error))
        report.samples.append(_Sample(key, "", None))
        return
    # A few whole decibels: two positions may well have equal values.
    content = None if signal.kind == "rssi" else hashlib.sha256(members["signal.npy"]).digest()[:16]
    report.samples.append(_Sample(key, signal.session, content))


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
    described["left_out"] = [f"{each['file']}: {each['reason']}" for each in described["left_out"]]
    table = Table("", "", title=Text(printable(described.pop("title"))), show_header=False)
    for name, value in {**described, **summary}.items():
        if value not in (None, "", {}, []):
            table.add_row(name, Text(printable(_plain(value))))
    (console or Console()).print(table)


def _plain(value: Any, joint: str = "\n") -> str:
    if isinstance(value, dict):
        return joint.join(f"{name}: {_plain(inner, ', ')}" for name, inner in value.items())
    if isinstance(value, list):
        joint = " to " if isinstance(value[0], float) else "; "
        return joint.join(map(_plain, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
