"""`manifest.json`: contents, provenance, splits and shard hashes of a shard directory."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from foundation.config.address import local_path
from foundation.data.shards.address import MOST_BYTES, fetch, is_url, join
from foundation.data.shards.spec import Parameter, Splits, TaskType
from foundation.data.shards.summary import Count, Summary
from foundation.errors import ShardError
from foundation.files import read_regular, write_atomically
from foundation.json_file import parse_json, without_collection
from foundation.redaction import published

#: 1: sessions of a shard as an object, whose order a program that sorts keys destroys. 2: no `shapes`, no hashes.
SCHEMA_VERSION = 3
FILE_NAME = "manifest.json"
#: Bytes of the smallest sample: two members of two tar blocks.
SMALLEST_SAMPLE = 2048
MOST_SHARD_BYTES = 2**36


Positive = Annotated[Count, Field(ge=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _ordered(raw: Any) -> Any:
    """[[session, count], ...] as a dictionary in this order; an object, as of schema version 1, as it is."""
    if not isinstance(raw, list):
        return raw
    found: dict[Any, Any] = {}
    for pair in raw:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or pair[0] in found:
            raise ValueError("expected pairs of a session and its number of samples, each session once")
        found[pair[0]] = pair[1]
    return found


#: Samples in a row, and the shape (times, links, responses) of each of them.
ShapeRun = tuple[Positive, Positive, Positive, Positive]


class Shard(_Model):
    """One tar file. `sessions` maps each session to its number of samples in this shard, in stored order.

    Whoever opens a shard compares it with its bytes, SHA-256 and sessions; see `foundation.data.shards.tar_index`.

    Attributes:
        shapes: [[count, times, links, responses], ...] of its samples in stored order, from which their tokens are
            counted without reading them; empty in manifests of earlier versions, see `foundation.data.shards.upgrade`.
    """

    # The name is joined to the directory, so it must never lead out of it.
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+-\d{6}\.tar$", max_length=200)]
    count: Count
    bytes: Annotated[Count, Field(le=MOST_SHARD_BYTES)]
    sha256: Sha256
    sessions: Annotated[
        dict[str, Positive],
        BeforeValidator(_ordered),
        PlainSerializer(lambda found: [list(pair) for pair in found.items()], when_used="json"),
    ]
    shapes: list[ShapeRun] = []

    @model_validator(mode="after")
    def _agrees(self) -> Shard:
        if sum(self.sessions.values()) != self.count:
            raise ValueError(f"count is {self.count}, but the sessions add up to {sum(self.sessions.values())}")
        if self.count * SMALLEST_SAMPLE > self.bytes:
            raise ValueError(f"{self.count} samples do not fit into {self.bytes} bytes")
        if self.shapes and sum(count for count, *_ in self.shapes) != self.count:
            raise ValueError(f"count is {self.count}, but shapes are of another number of samples")
        if any(times * links * responses > self.bytes for _, times, links, responses in self.shapes):
            raise ValueError(f"a sample of its shapes does not fit into {self.bytes} bytes")
        return self


class HashFile(_Model):
    """The file of the content hashes of all samples, see `foundation.data.shards.stated_hashes`.

    Attributes:
        sha256: of the file.
        fingerprint: `Manifest.fingerprint` of the shards that were hashed.
    """

    file: Literal["content_hashes.npy"] = "content_hashes.npy"
    sha256: Sha256
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class LeftOut(_Model):
    """A raw file that a build left out because it cannot be read, and why."""

    file: str
    reason: str


class Described(_Model):
    """The fields of a manifest that are known before any sample is read."""

    schema_version: int = SCHEMA_VERSION
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
    version: Count
    title: str
    licence: str
    citation: str
    homepage: str
    tasks: dict[str, TaskType]
    parameters: dict[str, Parameter]
    shard_bytes: Count


class Manifest(Described):
    """The manifest of one shard directory. Byte-identical for identical builds: it holds no date and no path but those
    of files that were left out, relative to the raw folder."""

    count: Count
    bytes: Count
    shards: list[Shard]
    splits: Splits
    summary: Summary
    left_out: list[LeftOut] = []
    content_hashes: HashFile | None = None

    @model_validator(mode="after")
    def _lists_each_once(self) -> Manifest:
        if len({shard.file for shard in self.shards}) < len(self.shards):
            raise ValueError("a shard is listed twice")
        return self

    @classmethod
    def load(cls, directory: str | Path) -> Manifest:
        """Read and validate the manifest of a shard directory, local or behind a URL.

        Raises:
            ShardError: no such directory or manifest, or a manifest that is damaged, unsafe or newer than this code.
        """
        path, data = published(join(directory, FILE_NAME)), _read(directory)
        try:
            with without_collection():
                raw = parse_json(data, most_bytes=MOST_BYTES)
                newer = isinstance(raw, dict) and raw.get("schema_version", 0) > SCHEMA_VERSION
                manifest = None if newer else cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"])[:200]
            why = first["msg"].removeprefix("Value error, ")
            raise ShardError(f"{path}: {at}: {why}; rebuild the shards into a new directory.") from error
        except (ValueError, TypeError) as error:
            raise ShardError(
                f"{path}: is not valid JSON ({error}); rebuild the shards into a new directory."
            ) from error
        if manifest is None:
            raise ShardError(
                f"{path}: schema_version {raw['schema_version']} is newer than {SCHEMA_VERSION}; update foundation."
            )
        return manifest

    def save(self, directory: Path) -> None:
        """Write `directory/manifest.json` atomically; the same manifest gives the same bytes."""
        raw = self.model_dump(mode="json")
        shards = [json.dumps(shard, ensure_ascii=False) for shard in raw["shards"]]
        text = json.dumps(raw | {"shards": None}, indent=1, ensure_ascii=False)
        # A line for each: there may be a hundred thousand. No text in it can hold this, since a line break is escaped.
        text = text.replace('\n "shards": null', '\n "shards": [\n  ' + ",\n  ".join(shards) + "\n ]", 1)
        write_atomically(directory / FILE_NAME, text.encode() + b"\n")

    def fingerprint(self) -> str:
        """16 hexadecimal digits of the content of all shards: equal builds have equal ones."""
        return fingerprint_of(self.shards)

    def sessions(self, split: str, part: str | Sequence[str]) -> list[str]:
        """Sessions of one part of a split, or of several together.

        Raises:
            ShardError: no such split or part; names the nearest.
        """
        parts = self._split(split)
        found: list[str] = []
        for name in [part] if isinstance(part, str) else part:
            if name not in parts:
                raise ShardError(f"{self.name}: split {split!r} has no part {name!r}; {nearest(name, parts)}")
            found += parts[name]
        return found

    def _split(self, split: str) -> dict[str, list[str]]:
        if split not in self.splits:
            raise ShardError(f"{self.name}: no split {split!r}; {nearest(split, self.splits)}")
        return self.splits[split]


def _read(directory: str | Path) -> bytes:
    if is_url(directory):
        return fetch(join(directory, FILE_NAME))
    path = Path(local_path(str(directory)), FILE_NAME)
    if not path.parent.is_dir():
        raise ShardError(f"{directory}: no such shard directory; build it with 'wfm shards build'.")
    if not path.is_file():
        raise ShardError(
            f"{directory}: no {FILE_NAME}, so no finished build is here; run 'wfm shards build' (again) into it."
        )
    try:
        return read_regular(path, MOST_BYTES + 1)
    except OSError as error:
        raise ShardError(f"{path}: cannot be read ({error.strerror}); check the permissions and the disk.") from error


def fingerprint_of(shards: Iterable[Shard]) -> str:
    """As `Manifest.fingerprint`."""
    return hashlib.sha256("".join(shard.sha256 for shard in shards).encode()).hexdigest()[:16]


def count_sessions(shards: Iterable[Shard]) -> dict[str, int]:
    """Samples of each session over several shards."""
    counts: dict[str, int] = {}
    for shard in shards:
        for session, count in shard.sessions.items():
            counts[session] = counts.get(session, 0) + count
    return counts


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def nearest(word: str, known: Iterable[str]) -> str:
    """End of an error sentence about an unknown name: the closest known name, and all known ones."""
    names = sorted(known)
    match = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    guess = f"did you mean {match[0]!r}? " if match else ""
    return f"{guess}known: {', '.join(names) or 'none'}."
