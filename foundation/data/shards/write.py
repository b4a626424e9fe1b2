"""Write a data set as WebDataset tar shards with a manifest: deterministic bytes, atomic, resumable, in parallel.

Workers read and encode pieces (`foundation.data.shards.pieces`); one process joins them in order and closes shards at
their size. So the bytes depend on the samples alone, not on the number of workers or of the parts of an array
(`foundation.data.shards.array_build`), and any number of workers may resume a build.

During a build, `.build.jsonl` beside the shards lists the finished ones, `.build.hashes` holds the content hashes of
their samples, and `.pieces` samples not yet in a shard. The manifest is written last, so a directory without one is not
a data set; building into it again resumes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from rich.console import Console

from foundation.data.shards.bad_files import refuse_more, root_of, sentences, without_missing
from foundation.data.shards.build_plan import LOCK_NAME, Plan, build_lock
from foundation.data.shards.journal import JOURNAL_HASHES, JOURNAL_NAME, Journal, Position
from foundation.data.shards.manifest import FILE_NAME, LeftOut, Manifest, Shard, count_sessions
from foundation.data.shards.pieces import Job, PieceFile, PieceIndex, PieceSample, make_piece
from foundation.data.shards.shapes import shape_runs
from foundation.data.shards.spec import Dataset, split_problems
from foundation.data.shards.stated_hashes import FILE_NAME as HASHES
from foundation.data.shards.stated_hashes import save_stated
from foundation.data.shards.summary import Summary
from foundation.data.shards.worker_pool import in_order
from foundation.errors import ShardError
from foundation.progress import StepProgress

PIECES_NAME = ".pieces"
SHARD_BYTES = 32 * 2**20


def write_shards(
    dataset: Dataset,
    out: Path,
    *,
    shard_bytes: int = SHARD_BYTES,
    workers: int = 1,
    max_bad: int | float | None = None,
) -> Manifest:
    """Build `dataset` into `out`, or resume an interrupted build, or return at once if it is already built.

    A shard is closed by the first sample that takes it to `shard_bytes`. A raw file that cannot be read is left out and
    named in the manifest.

    Args:
        max_bad: raw files that may be left out, a number or (as a float) a share; None: 1 %, and 10 at least.

    Raises:
        ShardError: `out` holds another build or foreign tar files, or another process is building there (nothing is
            overwritten), or the data set has a bad or repeated key, an undeclared label, an unsorted session, or
            splits that leak or name unknown sessions, or more raw files than `max_bad` cannot be read.
    """
    plan = Plan.of(dataset, shard_bytes)
    if (manifest := finished(plan, out)) is not None:
        return manifest
    with build_lock(out):
        if (manifest := built(plan, out)) is not None:  # by another process, since we looked
            return manifest
        journal = Journal.open(plan, out, workers)
        files = [PieceFile(out / PIECES_NAME, number) for number in range(plan.pieces)]
        with closing(in_order(make_piece, jobs(dataset, plan, files[journal.position.piece :]), workers)) as indices:
            return assemble(journal, out, files, indices, consumed=PieceFile.remove, max_bad=max_bad)


def jobs(dataset: Dataset, plan: Plan, files: list[PieceFile]) -> Iterator[Job]:
    """The jobs that make piece files."""
    root = root_of(dataset)
    for file in files:
        yield Job(file, dataset.pieces[file.number], plan.name, plan.tasks, plan.build, root)


def finished(plan: Plan, out: Path) -> Manifest | None:
    """As `built`, and says so, after deleting what a killed build left. Not for one who holds the lock.

    Raises:
        ShardError: it belongs to another build.
        WfmError: another process is about to finish it.
    """
    manifest = built(plan, out)
    if manifest is None:
        return None
    if (out / LOCK_NAME).exists() or _temporary(out):
        with build_lock(out):
            tidy(out)
    message = f"{out}: {plan.name} is already built ({manifest.count} samples); nothing to do."
    Console(stderr=True).print(message, markup=False)
    return manifest


def built(plan: Plan, out: Path) -> Manifest | None:
    """The manifest in `out`; None if there is none yet.

    Raises:
        ShardError: it belongs to another build.
    """
    if not (out / FILE_NAME).exists():
        return None
    manifest = Manifest.load(out)
    if manifest.left_out:
        kept, _ = without_missing(plan.name, plan.splits, count_sessions(manifest.shards), manifest.left_out)
        plan = plan.model_copy(update={"splits": kept})
    plan.refuse_other(out, "a finished build", manifest.model_dump(mode="json"))
    return manifest


def assemble(
    journal: Journal,
    out: Path,
    files: list[PieceFile],
    indices: Iterator[PieceIndex],
    *,
    consumed: Callable[[PieceFile], None],
    max_bad: int | float | None,
) -> Manifest:
    """Join pieces into shards and finish the build.

    Args:
        files: all pieces, in order.
        indices: indices of the pieces from the journal's position on; a piece is complete when its index is yielded.
        consumed: called with a file once all its samples are in finished shards.
        max_bad: as `write_shards`.

    Raises:
        ShardError: keys do not increase, a session is not contiguous, too many files are left out, or as `_finish`.
    """
    plan, console, start = journal.plan, Console(stderr=True), journal.position.piece
    if journal.shards:
        console.print(
            f"{out}: resuming after {len(journal.shards)} finished shards ({journal.count} samples).", markup=False
        )
    joining = _Joining(journal, out)
    warned, warning, kept = 0, "", start
    with ExitStack() as stack:
        stack.callback(joining.drop)
        progress = stack.enter_context(StepProgress(transient=True))
        task = progress.add_task(plan.name, total=plan.pieces, completed=start)
        for file, index in zip(files[start:], indices, strict=True):
            joining.add(file, index)
            refuse_more(plan.name, joining.left_out, plan.files, max_bad)
            warned, warning = warned + index.warnings, warning or index.warning
            for done in files[kept : journal.position.piece]:
                consumed(done)
            kept = journal.position.piece
            progress.update(task, advance=1, description=f"{plan.name}, {len(journal.shards)} shards")
        joining.end()
    if warned:
        console.print(f"{plan.name}: {warned} warnings while reading, such as: {warning}", markup=False)
    for sentence in sentences(joining.left_out):
        console.print(f"{plan.name}: {sentence}", markup=False, highlight=False)
    return _finish(out, journal, joining.summary, joining.left_out)


class _Joining:
    """Copies samples from pieces into shards, and records the shards in the journal."""

    def __init__(self, journal: Journal, out: Path) -> None:
        self.journal, self.out, self.plan = journal, out, journal.plan
        self.shard: _OpenShard | None = None
        start = journal.position
        self.number, self.summary = start.piece, start.summary.model_copy(deep=True)
        self.skip, self.last_key = start.offset, start.last_key
        self.left_out = list(start.left_out)
        sessions = list(count_sessions(journal.shards))
        self.session = sessions.pop() if sessions else ""
        self.closed = set(sessions)

    def add(self, file: PieceFile, index: PieceIndex) -> None:
        """Append the next piece; closes the shards that are full."""
        before = Position(summary=self.summary.model_copy(deep=True), left_out=list(self.left_out))
        self.left_out += index.left_out
        if index.samples:
            self.summary.merge(index.summary, f"{self.plan.name}: {index.samples[0].key}")
        skip, self.skip = self.skip, 0
        if skip and [sample.key for sample in index.samples[skip - 1 : skip]] != [self.last_key]:
            raise ShardError(
                f"{self.plan.name}: piece {self.number} does not have {self.last_key} as sample {skip}, as the "
                f"unfinished build says; the raw files changed: delete {self.out} and build again."
            )
        with file.blocks.open("rb") as blocks:
            blocks.seek(sum(sample.bytes for sample in index.samples[:skip]))
            for offset, sample in enumerate(index.samples[skip:], start=skip + 1):
                self._check(sample.key, sample.session)
                self.shard = self.shard or _OpenShard(self.out, f"{self.plan.name}-{len(self.journal.shards):06d}.tar")
                self.shard.add(blocks.read(sample.bytes), sample)
                if self.shard.bytes >= self.plan.shard_bytes:
                    self._close(self.number, offset, before)
        self.number += 1

    def end(self) -> None:
        """Close the last shard."""
        if self.shard is not None:
            self._close(self.number, 0, Position(summary=self.summary, left_out=self.left_out))

    def drop(self) -> None:
        """Delete the shard that is not finished, if there is one."""
        if self.shard is not None:
            self.shard.drop()

    def _check(self, key: str, session: str) -> None:
        where = f"{self.plan.name}: sample {key}"
        if key <= self.last_key:
            raise ShardError(f"{where}: keys must increase, but the one before is {self.last_key}.")
        if session in self.closed:
            raise ShardError(f"{where}: session {session!r} came before; keep a session together.")
        if self.session and session != self.session:
            self.closed.add(self.session)
        self.last_key, self.session = key, session

    def _close(self, piece: int, offset: int, before: Position) -> None:
        """Finish the open shard and record it with the position after it; `before` is what was before the piece."""
        assert self.shard is not None
        after = before.model_copy(update={"piece": piece, "offset": offset, "last_key": self.last_key})
        self.journal.add(self.shard.finish(), after, self.shard.hashes)
        self.shard = None


class _OpenShard:
    """A tar file under a temporary name until it is finished."""

    def __init__(self, out: Path, name: str) -> None:
        self.path = out / name
        self.temporary = self.path.with_name(f"{name}.partial")
        self.file = self.temporary.open("wb")
        self.digest = hashlib.sha256()
        self.bytes = 0
        self.sessions: dict[str, int] = {}
        self.shapes: list[tuple[int, int, int]] = []
        self.hashes: list[int] = []

    def add(self, blocks: bytes, sample: PieceSample) -> None:
        self._write(blocks)
        self.sessions[sample.session] = self.sessions.get(sample.session, 0) + 1
        self.shapes.append(sample.shape)
        self.hashes.append(sample.content)

    def finish(self) -> Shard:
        end = 2 * tarfile.BLOCKSIZE
        self._write(bytes(end + -(self.bytes + end) % tarfile.RECORDSIZE))  # as tarfile ends an archive
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self.temporary.replace(self.path)
        return Shard(
            file=self.path.name,
            count=sum(self.sessions.values()),
            bytes=self.bytes,
            sha256=self.digest.hexdigest(),
            sessions=self.sessions,
            shapes=shape_runs(self.shapes),
        )

    def drop(self) -> None:
        with suppress(OSError):  # there may be no space for what is buffered
            self.file.close()
        self.temporary.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        self.file.write(data)
        self.digest.update(data)
        self.bytes += len(data)


def _finish(out: Path, journal: Journal, summary: Summary, left_out: list[LeftOut]) -> Manifest:
    """Check the splits against the samples written, then write the manifest, which makes the directory a data set."""
    plan = journal.plan
    if not journal.count:
        why = f" ({len(left_out)} files left out, first {left_out[0].file}: {left_out[0].reason})" if left_out else ""
        raise ShardError(f"{plan.name}: it gave no samples{why}; check its raw folder and parameters.")
    sessions = count_sessions(journal.shards)
    if left_out:
        kept, gone = without_missing(plan.name, plan.splits, sessions, left_out)
        plan = plan.model_copy(update={"splits": kept})
        if gone:
            shown = ", ".join(gone[:5]) + (", ..." if len(gone) > 5 else "")
            warnings.warn(f"{plan.name}: the splits are without {len(gone)} sessions left out: {shown}.", stacklevel=2)
    plan.raise_first(split_problems(plan.splits, sessions))
    summary.labels = {task: dict(sorted(counts.items())) for task, counts in summary.labels.items()}
    for split, parts in plan.splits.items():
        summary.parts[split] = {part: sum(sessions[name] for name in names) for part, names in parts.items()}
    manifest = Manifest(
        **plan.model_dump(exclude={"pieces", "files"}),
        count=journal.count,
        bytes=sum(shard.bytes for shard in journal.shards),
        shards=journal.shards,
        summary=summary,
        left_out=left_out,
        content_hashes=save_stated(out, journal.hashes, journal.shards),
    )
    manifest.save(out)
    tidy(out)
    return manifest


def tidy(out: Path) -> None:
    """Delete the temporary files of finished and killed builds, but the lock, which its holder deletes."""
    for left in _temporary(out):
        left.unlink(missing_ok=True)
    shutil.rmtree(out / PIECES_NAME, ignore_errors=True)


def _temporary(out: Path) -> list[Path]:
    partial = [left for name in (JOURNAL_NAME, FILE_NAME, HASHES) for left in out.glob(f".{name}.*.partial")]
    ours = (out / JOURNAL_NAME, out / JOURNAL_HASHES, *(out / PIECES_NAME).glob("*"))
    return partial + [path for path in ours if path.exists()]
