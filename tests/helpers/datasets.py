"""What every data set must do, in one place: build, verify, read back, and split without cutting a session."""

from __future__ import annotations

import pickle
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from foundation.data.shards.verify import verify
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.signal import Signal, decode


def built(name: str, raw: Path, out: Path, **options: Any) -> tuple[list[Signal], dict[str, dict[str, set[str]]]]:
    """Write a set as shards, verify them, and give what they hold: the signals, and the sessions of each part."""
    dataset = open_dataset(name, raw=raw, **options)
    dataset = replace(dataset, pieces=[pickle.loads(pickle.dumps(piece)) for piece in dataset.pieces])  # as workers do
    manifest = write_shards(dataset, out)  # refuses splits that leak, unknown sessions and labels that are no task
    assert verify(out) == []
    members: dict[str, dict[str, bytes]] = {}
    for shard in manifest.shards:
        with tarfile.open(out / shard.file) as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                members.setdefault(key, {})[extension] = tar.extractfile(member).read()  # type: ignore[union-attr]
    signals = [decode(parts, key) for key, parts in members.items()]
    for signal, (_, given) in zip(signals, dataset.samples(), strict=True):
        np.testing.assert_array_equal(signal.values, given.values)
        np.testing.assert_array_equal(signal.mask, given.mask)
        assert (signal.labels, signal.session) == (given.labels, given.session)
        assert (signal.source, signal.licence) == (name, dataset.licence)
        assert set(signal.labels) <= set(dataset.tasks)
    assert dataset.licence
    assert dataset.citation
    assert dataset.homepage.startswith("https://")
    splits = {
        split: {part: set(sessions) for part, sessions in parts.items()} for split, parts in manifest.splits.items()
    }
    return signals, splits


def check_workers(name: str, raw: Path, built: Path, out: Path, **options: Any) -> None:
    """Two processes write the bytes that one wrote to `built`."""
    write_shards(open_dataset(name, raw=raw, **options), out, workers=2)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in built.iterdir()
    }


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    parts = np.random.default_rng(seed).normal(size=(2, *shape))
    return np.asarray(parts[0] + 1j * parts[1], np.complex64)
