"""Streams over small shards, and fingerprints by which their samples and batches are compared."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from foundation.config import CorpusSection
from foundation.data.stream import ShardStream
from foundation.data.tokens import Collated
from foundation.nn.patches import cut
from helpers.signals import tiny_config

CONFIG = tiny_config()
BATCH = 20
STEPS = 24
Drawn = tuple[Collated, int]


def stream_of(directory: Path | str, **changes: object) -> ShardStream:
    """A stream over part room/train; `changes` are arguments of `ShardStream`, or `split` and `part`."""
    where = {name: changes.pop(name, default) for name, default in (("split", "room"), ("part", "train"))}
    fields: dict[str, object] = {
        "parts": [CorpusSection(shards=directory, **where)],  # type: ignore[arg-type]
        "spec": CONFIG,
        "batch_size": BATCH,
        "seed": 0,
        "steps": STEPS,
    }
    return ShardStream(**{**fields, **changes})  # type: ignore[arg-type]


def rows_of(drawn: Iterable[Drawn]) -> list[bytes]:
    """One fingerprint per sample."""
    return [row.numpy().tobytes() for batch, _ in drawn for row in cut(batch)["values"][:, :2]]


def prints_of(drawn: Iterable[Drawn]) -> list[bytes]:
    """One fingerprint per batch, of every tensor and of the position behind it."""
    return [b"".join(tensor.numpy().tobytes() for tensor in cut(batch).values()) + b"%d" % end for batch, end in drawn]
