"""What a build is going to write: everything about a data set but its samples."""

from __future__ import annotations

import fcntl
import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foundation.data.shards.manifest import Described
from foundation.data.shards.spec import Dataset, Splits, split_problems
from foundation.errors import ShardError

LOCK_NAME = ".build.lock"


class Plan(Described):
    """What a manifest says before any sample is read, and the number of pieces.

    Two builds whose `identity` is equal write the same bytes.
    """

    splits: Splits
    pieces: int

    @classmethod
    def of(cls, dataset: Dataset, shard_bytes: int) -> Plan:
        """The plan for a data set.

        Raises:
            ShardError: a split lets a session leak or lists it twice.
        """
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
            splits=dataset.splits(),
            pieces=len(dataset.pieces),
        )
        plan.raise_first(split_problems(plan.splits))
        return plan

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from another build; none of it needs the samples."""
        described = {"title", "licence", "citation", "homepage", "tasks"}
        return self.model_dump(mode="json", exclude=described)

    @property
    def build(self) -> str:
        """16 hexadecimal digits of the identity."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:16]

    def refuse_other(self, where: Path, what: str, found: dict[str, Any]) -> None:
        """Nothing if `found` agrees with the identity in all that it names.

        Raises:
            ShardError: it does not; says in what.
        """
        wanted = {name: value for name, value in self.identity.items() if name in found}
        different = [f"{name} {found[name]!r}" for name in wanted if name != "splits" and found[name] != wanted[name]]
        if found.get("splits") != wanted.get("splits"):
            different.append("other splits")
        if different:
            raise ShardError(
                f"{where} holds {what} with {', '.join(different)}, not what is asked for; "
                "nothing was changed: choose another directory, or delete this one first."
            )

    def raise_first(self, problems: list[str]) -> None:
        """Nothing if there are no problems.

        Raises:
            ShardError: the first of them.
        """
        if problems:
            more = f" ({len(problems) - 1} more like this.)" if len(problems) > 1 else ""
            raise ShardError(f"{self.name}: {problems[0]}{more}")


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder for one process; the system lets it go when that ends, however it ends. Makes the folder.

    Raises:
        ShardError: another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_NAME
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ShardError(f"{folder}: another process is building here; wait for it, or stop it.") from error
        except OSError as error:
            warnings.warn(
                f"{folder}: its file system has no locks ({error.strerror}); see to it that nothing else builds here.",
                stacklevel=3,
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
