"""A data set of twenty samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from foundation.data.shards.spec import Dataset
from foundation.signal import Signal
from helpers.signals import make_signal

SHARD_BYTES = 80_000  # about seven samples


COUNT = 20


def _samples(first: int = 0, stop: int = COUNT) -> Iterator[tuple[str, Signal]]:
    for index in range(first, stop):
        session = f"s{index // 5}"
        signal = make_signal(
            index,
            session=session,
            labels={"activity": "walk" if index % 2 else "still", "place": (index / 2, 1.0)},
        )
        yield f"{session}-{index:04d}", signal.with_(clean=signal.values) if index % 4 == 0 else signal


def _dataset(*pieces: Callable[[], Iterator[tuple[str, Signal]]], **changes: object) -> Dataset:
    """A set of these pieces; without any, of `_samples` in seven pieces, two of them in one session."""
    fields: dict[str, object] = {
        "name": "toy",
        "title": "A toy set",
        "licence": "CC0",
        "citation": "nobody",
        "homepage": "https://example.org",
        "tasks": {"activity": "classification", "place": "regression"},
        "pieces": pieces or [partial(_samples, first, min(first + 3, COUNT)) for first in range(0, COUNT, 3)],
        "splits": lambda: {"main": {"train": ["s0", "s1", "s2"], "test": ["s3"]}},
        "parameters": {"seed": 0},
    }
    return Dataset(**{**fields, **changes})  # type: ignore[arg-type]
