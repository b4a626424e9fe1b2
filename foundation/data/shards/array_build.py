"""Shard builds split over jobs, such as a SLURM array: each job reads a part of the pieces, and a merge joins them.

Part i of n has the pieces whose number is i modulo n, in its own directory below the output. The jobs share nothing
while they run. The merge reads all pieces in order, as a single build does, and writes the same bytes for any n.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from foundation.data.shards.bad_files import refuse_more
from foundation.data.shards.build_plan import Plan, build_lock
from foundation.data.shards.journal import Journal
from foundation.data.shards.manifest import FILE_NAME, LeftOut, Manifest
from foundation.data.shards.pieces import PieceFile, PieceIndex, make_piece
from foundation.data.shards.spec import Dataset
from foundation.data.shards.worker_pool import in_order
from foundation.data.shards.write import SHARD_BYTES, assemble, built, finished, jobs, tidy
from foundation.errors import ShardError
from foundation.files import write_atomically
from foundation.progress import StepProgress

PART_NAME = "part.json"


class _Part(BaseModel):
    """`part.json`: which part of which build a directory holds, and whether it is complete."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: Plan
    part: int = Field(ge=0)
    parts: int = Field(ge=1)
    finished: bool

    @property
    def numbers(self) -> range:
        """Numbers of its pieces."""
        return range(self.part, self.plan.pieces, self.parts)


def write_part(
    dataset: Dataset,
    out: Path,
    part: int,
    parts: int,
    *,
    shard_bytes: int = SHARD_BYTES,
    workers: int = 1,
    max_bad: int | float | None = None,
) -> Path | None:
    """Read and encode part `part` (from 0) of `parts`, or resume it.

    Args:
        max_bad: as `write_shards`, of the files of the whole set.

    Returns:
        Its directory below `out`; None if `out` holds the finished build already.

    Raises:
        ShardError: there is no such part, its directory or `out` holds another build, or as `make_piece`.
    """
    if not 0 <= part < parts:
        raise ShardError(f"there is no part {part} of {parts}; parts count from 0 to {parts - 1}.")
    plan = Plan.of(dataset, shard_bytes)
    folder = out / f"part-{part:05d}-of-{parts:05d}"
    if finished(plan, out) is not None:
        return None
    with build_lock(folder):
        if (folder / PART_NAME).exists():
            plan.refuse_other(folder, "a part", _load(folder).plan.identity)
        record = _Part(plan=plan, part=part, parts=parts, finished=False)
        write_atomically(folder / PART_NAME, record.model_dump_json())
        files = [PieceFile(folder, number) for number in record.numbers]
        left_out: list[LeftOut] = []
        with (
            closing(in_order(make_piece, jobs(dataset, plan, files), workers)) as made,
            StepProgress(transient=True) as progress,
        ):
            for index in progress.track(made, total=len(files), description=f"{plan.name}, part {part} of {parts}"):
                left_out += index.left_out
                refuse_more(plan.name, left_out, plan.files, max_bad)
        write_atomically(folder / PART_NAME, record.model_copy(update={"finished": True}).model_dump_json())
    return folder


def merge_parts(out: Path, *, max_bad: int | float | None = None) -> Manifest:
    """Join the finished parts below `out` into its shards and manifest, then remove the parts. Resumable.

    Args:
        max_bad: as `write_shards`.

    Raises:
        ShardError: a part is missing, unfinished, damaged, or of another build than the others.
        WfmError: another process merges them.
    """
    if not _folders(out):
        return _merged(out)
    with build_lock(out):  # from before the parts are listed until they are removed: another merge may end meanwhile
        folders = _folders(out)
        for folder in [folder for folder in folders if not any(folder.iterdir())]:
            folder.rmdir()
            folders.remove(folder)
        return _join(out, folders, max_bad) if folders else _merged(out)


def _folders(out: Path) -> list[Path]:
    return sorted(path for path in out.glob("part-*-of-*") if path.is_dir())


def _merged(out: Path) -> Manifest:
    """The manifest of a directory whose parts have been merged."""
    if not (out / FILE_NAME).exists():
        raise ShardError(f"{out}: holds no parts; build them with 'wfm shards build NAME --array i/n --out {out}'.")
    return Manifest.load(out)


def _join(out: Path, folders: list[Path], max_bad: int | float | None) -> Manifest:
    """Write the shards of the parts, unless that is done, and remove the parts."""
    records = {folder: _load(folder) for folder in folders}
    plan = records[folders[0]].plan
    manifest = built(plan, out)
    if manifest is not None:
        tidy(out)
    else:
        folder_of = _check(out, records)
        files = [PieceFile(folder_of[number % len(folders)], number) for number in range(plan.pieces)]
        journal = Journal.open(plan, out)
        indices = (_load_piece(file, plan) for file in files[journal.position.piece :])
        manifest = assemble(journal, out, files, indices, consumed=lambda file: None, max_bad=max_bad)
    for folder in folders:
        _remove(folder)
    return manifest


def _remove(folder: Path) -> None:
    """Delete a merged part; its record last, so that a killed merge can resume."""
    for path in folder.iterdir():
        if path.name != PART_NAME:
            path.unlink()
    (folder / PART_NAME).unlink()
    folder.rmdir()


def _load(folder: Path) -> _Part:
    path = folder / PART_NAME
    try:
        return _Part.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ShardError(f"{folder}: has no {PART_NAME}, so it is not part of a build; move it elsewhere.") from error
    except ValidationError as error:
        raise ShardError(f"{path}: cannot be read; delete {folder} and build that part again.") from error


def _check(out: Path, records: dict[Path, _Part]) -> dict[int, Path]:
    """The directory of each part; an error unless all parts of one build are present and finished."""
    first, wanted = next(iter(records.items()))
    folder_of: dict[int, Path] = {}
    for folder, record in records.items():
        if record.plan.build != wanted.plan.build or record.parts != wanted.parts:
            raise ShardError(f"{folder} and {first} are parts of different builds; delete or move those of one.")
        if record.part in folder_of:
            raise ShardError(f"{folder} and {folder_of[record.part]} are both part {record.part}; delete one.")
        if not record.finished:
            raise ShardError(
                f"{folder}: is not finished; run 'wfm shards build' with --array {record.part}/{record.parts} again."
            )
        folder_of[record.part] = folder
    missing = sorted(set(range(wanted.parts)) - set(folder_of))
    if missing:
        raise ShardError(
            f"{out}: part {', '.join(map(str, missing[:10]))} of {wanted.parts} is missing; "
            f"run 'wfm shards build' with --array {missing[0]}/{wanted.parts}."
        )
    return folder_of


def _load_piece(file: PieceFile, plan: Plan) -> PieceIndex:
    index = file.load()
    if index is None or index.build != plan.build:
        what = "is missing or damaged" if index is None else "belongs to another build"
        raise ShardError(f"{file.blocks}: {what}; run the 'wfm shards build --array' of its part again.")
    return index
