"""Plan of a shard build: everything about a data set but its samples. And the lock on the output directory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from foundation.data.shards.manifest import Described
from foundation.data.shards.spec import Dataset, DefinitionError, Splits, files_of, split_problems
from foundation.errors import ShardError
from foundation.files import exclusive

LOCK_NAME = ".build.lock"  # as `exclusive` names it


class Plan(Described):
    """The fields of a manifest that are known before any sample is read, and the numbers of pieces and raw files.

    Two builds with equal `identity` write the same bytes.
    """

    splits: Splits
    pieces: int
    files: int = 0

    @classmethod
    def of(cls, dataset: Dataset, shard_bytes: int) -> Plan:
        """The plan for a data set.

        Raises:
            ShardError: a split lets a session leak or lists it twice.
            DefinitionError: a field of the data set is not of its type, or out of bounds.
        """
        splits = dataset.splits()
        try:
            plan = cls(
                name=dataset.name,
                version=dataset.version,
                title=dataset.title,
                licence=dataset.licence,
                citation=dataset.citation,
                homepage=dataset.homepage,
                tasks=dict(dataset.tasks),
                parameters=dict(dataset.parameters),
                shard_bytes=shard_bytes,
                splits=splits,
                pieces=len(dataset.pieces),
                files=sum(path is not None for piece in dataset.pieces for path, _ in files_of(piece)),
            )
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(map(str, first["loc"]))
            raise DefinitionError(f"{dataset.name}: {at} of the data set: {first['msg']}; correct it.") from error
        plan.raise_first(split_problems(plan.splits))
        return plan

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that distinguish it from another build; none of them needs the samples."""
        described = {"schema_version", "title", "licence", "citation", "homepage", "tasks", "files"}
        return self.model_dump(mode="json", exclude=described)

    @property
    def build(self) -> str:
        """16 hexadecimal digits of the identity."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:16]

    def refuse_other(self, where: Path, what: str, found: dict[str, Any]) -> None:
        """Check that the fields in `found` agree with the identity.

        Raises:
            ShardError: they do not; names the different fields.
        """
        wanted = {name: value for name, value in self.identity.items() if name in found}
        different = [f"{name} {found[name]!r}" for name in wanted if name != "splits" and found[name] != wanted[name]]
        if found.get("splits") != wanted.get("splits"):
            different.append("other splits")
        if different:
            raise ShardError(
                f"{where} holds {what} with {', '.join(different)}, not the requested build; "
                "nothing was changed: choose another directory, or delete this one first."
            )

    def raise_first(self, problems: list[str]) -> None:
        """Raise the first problem, if there are any.

        Raises:
            ShardError: the first of them.
        """
        if problems:
            more = f" ({len(problems) - 1} more like this.)" if len(problems) > 1 else ""
            raise ShardError(f"{self.name}: {problems[0]}{more}")


@contextmanager
def build_lock(folder: Path) -> Iterator[None]:
    """Lock a folder, which is made, for one process; the operating system releases the lock when the process ends.

    Raises:
        WfmError: another process has it.
        ShardError: the folder cannot be made or written, such as on a full disk.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / "build"):
            yield
    except OSError as error:
        raise ShardError(
            f"{error.filename or folder}: {error.strerror or error}; correct it and run the same command again: what "
            f"is finished in {folder} is kept."
        ) from error
