"""Write a data set as WebDataset tar shards with a manifest: deterministic bytes, atomic, resumable.

While a build runs, `.build.json` beside the shards records which are finished. The manifest is written last, so a
directory without one is never taken for a data set; building into it again goes on where the dead build stopped.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from foundation.data.dataset import Dataset, split_problems
from foundation.data.manifest import (
    FILE_NAME,
    SCHEMA_VERSION,
    Manifest,
    Shard,
    count_sessions,
    sha256_of,
)
from foundation.data.summary import Summary
from foundation.errors import ShardError
from foundation.files import write_atomically
from foundation.signal import Signal, encode

JOURNAL_NAME = ".build.json"
SHARD_BYTES = 32 * 2**20

_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")  # one dot-free tar name of at most 100 characters with its extension


class _Journal(BaseModel):
    """What a build has finished so far. `identity` tells whether another build would give the same bytes."""

    model_config = ConfigDict(extra="forbid")

    identity: dict[str, Any]
    shards: list[Shard] = []
    last_key: str = ""
    summary: Summary = Field(default_factory=Summary)

    @property
    def count(self) -> int:
        return sum(shard.count for shard in self.shards)


def write_shards(dataset: Dataset, out: Path, *, shard_bytes: int = SHARD_BYTES) -> Manifest:
    """Build `dataset` into `out`, or go on with a build of it that died, or return at once if it is already there.

    A shard is closed by the first sample that takes it to `shard_bytes`.

    Raises:
        ShardError: `out` holds another build or foreign tar files (nothing is overwritten), or the data set gives a bad
            or repeated key, an undeclared label, an unsorted session, or splits that leak or name unknown sessions.
    """
    console = Console(stderr=True)
    identity = _identity(dataset, shard_bytes)
    if (out / FILE_NAME).exists():
        manifest = Manifest.load(out)
        found = {name: value for name, value in manifest.model_dump(mode="json").items() if name in identity}
        _refuse_other_build(out, found, identity, "a finished build")
        console.print(f"{out}: {dataset.name} is already built ({manifest.count} samples); nothing to do.")
        (out / JOURNAL_NAME).unlink(missing_ok=True)
        return manifest
    _raise_first(dataset, split_problems(identity["splits"]))
    out.mkdir(parents=True, exist_ok=True)
    journal = _open_journal(out, identity)
    if journal.shards:
        console.print(f"{out}: going on after {len(journal.shards)} finished shards ({journal.count} samples).")
    with (
        warnings.catch_warnings(record=True) as caught,
        Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console, transient=True) as progress,
    ):
        task = progress.add_task(dataset.name, total=dataset.count, completed=journal.count)
        reading = progress.track(_checked(dataset, journal), task_id=task, total=dataset.count, completed=journal.count)
        samples = iter(reading)
        while _write_shard(samples, dataset, out, journal, shard_bytes):
            progress.update(task, description=f"{dataset.name}, {len(journal.shards)} shards")
    if caught:
        console.print(
            f"{dataset.name}: {len(caught)} warnings while reading, such as: {caught[0].message}", markup=False
        )
    return _finish(dataset, out, journal, shard_bytes)


def _identity(dataset: Dataset, shard_bytes: int) -> dict[str, Any]:
    identity = {
        "schema_version": SCHEMA_VERSION,
        "name": dataset.name,
        "version": dataset.version,
        "parameters": dict(dataset.parameters),
        "shard_bytes": shard_bytes,
        "splits": dataset.splits(),
    }
    return dict(json.loads(json.dumps(identity)))  # as it reads back from disk, so that it compares equal


def _refuse_other_build(out: Path, found: dict[str, Any], wanted: dict[str, Any], what: str) -> None:
    different = [
        f"{name} {found.get(name)!r}" for name in wanted if name != "splits" and found.get(name) != wanted[name]
    ]
    if found.get("splits") != wanted["splits"]:
        different.append("other splits")
    if different:
        raise ShardError(
            f"{out} holds {what} with {', '.join(different)}, not what is asked for; "
            "nothing was changed: choose another directory, or delete this one first."
        )


def _open_journal(out: Path, identity: dict[str, Any]) -> _Journal:
    """The journal to go on with; a fresh one if there is none or its shards are not what it says."""
    path = out / JOURNAL_NAME
    if not path.exists():
        foreign = sorted(file.name for file in out.glob("*.tar"))
        if foreign:
            raise ShardError(
                f"{out} holds {foreign[0]} but no {FILE_NAME}: choose another directory, or delete this one."
            )
        return _save(out, _Journal(identity=identity))
    try:
        journal = _Journal.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ShardError(f"{path}: cannot be read; delete {out} and build again.") from error
    _refuse_other_build(out, journal.identity, identity, "an unfinished build")
    if all((out / shard.file).is_file() and sha256_of(out / shard.file) == shard.sha256 for shard in journal.shards):
        return journal
    return _save(out, _Journal(identity=identity))


def _save(out: Path, journal: _Journal) -> _Journal:
    write_atomically(out / JOURNAL_NAME, journal.model_dump_json().encode())
    return journal


def _checked(dataset: Dataset, journal: _Journal) -> Iterator[tuple[str, Signal]]:
    """The samples that are not yet in the journal; keys increase, sessions are contiguous, or ShardError."""
    kept = journal.count
    last_key, session = "", ""
    closed: set[str] = set()
    for index, (key, signal) in enumerate(dataset.samples()):
        where = f"{dataset.name}: sample {index} ({key})"
        if not _KEY.fullmatch(key):
            raise ShardError(f"{where}: a key has 1 to 80 letters, digits, '-' or '_'.")
        if key <= last_key:
            raise ShardError(f"{where}: keys must increase, but the one before is {last_key}.")
        if not signal.session or signal.session in closed:
            raise ShardError(f"{where}: session {signal.session!r} is empty or came before; keep a session together.")
        if session and signal.session != session:
            closed.add(session)
        last_key, session = key, signal.session
        if index == kept - 1 and key != journal.last_key:
            raise ShardError(f"{where}: the unfinished build has {journal.last_key} here; delete it and build again.")
        if index >= kept:
            yield key, signal


def _write_shard(
    samples: Iterator[tuple[str, Signal]], dataset: Dataset, out: Path, journal: _Journal, shard_bytes: int
) -> Shard | None:
    """Write the next shard and record it; None when there are no more samples."""
    first = next(samples, None)
    if first is None:
        return None
    path = out / f"{dataset.name}-{len(journal.shards):06d}.tar"
    temporary = path.with_name(path.name + ".partial")
    sessions: dict[str, int] = {}
    key, signal = first
    with temporary.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        while True:
            journal.summary.add(signal, dataset.tasks, f"{dataset.name}: {key}")
            for extension, data in encode(signal).items():
                member = tarfile.TarInfo(f"{key}.{extension}")  # mtime, uid and gid 0, mode 644: equal bytes every time
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
            sessions[signal.session] = sessions.get(signal.session, 0) + 1
            journal.last_key = key
            following = next(samples, None) if file.tell() < shard_bytes else None
            if following is None:
                break
            key, signal = following
    with temporary.open("rb+") as closed:
        os.fsync(closed.fileno())
    shard = Shard(
        file=path.name,
        count=sum(sessions.values()),
        bytes=temporary.stat().st_size,
        sha256=sha256_of(temporary),
        sessions=sessions,
    )
    temporary.replace(path)
    journal.shards.append(shard)
    _save(out, journal)
    return shard


def _finish(dataset: Dataset, out: Path, journal: _Journal, shard_bytes: int) -> Manifest:
    """Check the splits against what was written, then write the manifest: from here on the directory is a data set."""
    if not journal.count:
        raise ShardError(f"{dataset.name}: it gave no samples; check its raw folder and parameters.")
    splits, summary = journal.identity["splits"], journal.summary
    sessions = count_sessions(journal.shards)
    _raise_first(dataset, split_problems(splits, sessions))
    summary.labels = {task: dict(sorted(counts.items())) for task, counts in summary.labels.items()}
    for split, parts in splits.items():
        summary.parts[split] = {part: sum(sessions[name] for name in names) for part, names in parts.items()}
    manifest = Manifest(
        name=dataset.name,
        version=dataset.version,
        title=dataset.title,
        licence=dataset.licence,
        citation=dataset.citation,
        homepage=dataset.homepage,
        tasks=dict(dataset.tasks),
        parameters=dict(dataset.parameters),
        shard_bytes=shard_bytes,
        count=journal.count,
        bytes=sum(shard.bytes for shard in journal.shards),
        shards=journal.shards,
        splits=splits,
        summary=summary,
    )
    manifest.save(out)
    (out / JOURNAL_NAME).unlink(missing_ok=True)
    return manifest


def _raise_first(dataset: Dataset, problems: list[str]) -> None:
    if problems:
        more = f" ({len(problems) - 1} more like this.)" if len(problems) > 1 else ""
        raise ShardError(f"{dataset.name}: {problems[0]}{more}")
