"""Batches of samples of different length: full, within the token limit, equal in all processes, resumable."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.manifests import edit_manifest
from helpers.signals import make_signal, tiny_config

from foundation.config import CorpusSection
from foundation.data import batching
from foundation.data.batching import cut
from foundation.data.layout import layout_of
from foundation.data.loader import Loader
from foundation.data.shards import corpus
from foundation.data.shards.corpus import read_part
from foundation.data.shards.spec import Dataset
from foundation.data.shards.write import write_shards
from foundation.data.stream import ShardStream
from foundation.data.tokens import tokenize
from foundation.errors import ShardError
from foundation.nn.patches import cut as cut_patches
from foundation.signal import Signal, encode, stored_shape

CONFIG = tiny_config()
LIMIT = 300
COUNT = 150
STEPS = 25


def _signals() -> Iterator[tuple[str, Signal]]:
    for number in range(COUNT):
        rng = np.random.default_rng(number)
        times, links, responses = (int(rng.choice(some)) for some in ((1, 8, 64), (1, 3), (9, 30)))
        shape = {"times": times, "links": links, "responses": responses}
        yield f"k{number:03d}", make_signal(number, **shape, session="s0", labels={})


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mixed") / "shards"
    texts = dict.fromkeys(("title", "licence", "citation", "homepage"), "")
    split = {"main": {"all": ["s0"]}}
    mixed = Dataset(name="mixed", tasks={}, pieces=[_signals], splits=lambda: split, **texts)
    write_shards(mixed, out, shard_bytes=100_000)
    return out


def _stream(shards: Path, limit: int = LIMIT, **changes: int) -> ShardStream:
    fields = {"batch_size": 40, "seed": 0, "steps": STEPS, "batch_tokens": limit} | changes
    return ShardStream([CorpusSection(shards=shards)], CONFIG, **fields)  # type: ignore[arg-type]


def _lengths(shards: Path, count: int) -> list[int]:
    """Tokens of every sample, in the order of the stream."""
    one_by_one = ShardStream([CorpusSection(shards=shards)], CONFIG, 1, 0, count)
    return [int(batch["exists"].sum()) for batch, _ in one_by_one]


def test_a_batch_takes_what_comes_next_until_it_is_full(shards: Path) -> None:
    drawn = list(_stream(shards))
    lengths = _lengths(shards, drawn[-1][1] + 1)
    assert len(set(lengths)) > 5, "lengths differ"
    starts = [0, *(end for _, end in drawn)]
    for (start, end), (batch, _) in zip(itertools.pairwise(starts), drawn, strict=True):
        assert batch["exists"].sum(1).tolist() == lengths[start:end]
        assert sum(lengths[start:end]) <= LIMIT < sum(lengths[start : end + 1])


def test_the_number_of_samples_is_a_limit_too(shards: Path) -> None:
    assert {len(batch["kind"]) for batch, _ in _stream(shards, batch_size=6)} >= {3, 6}
    assert {len(batch["kind"]) for batch, _ in _stream(shards, limit=10_000, batch_size=3)} == {3}


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_and_workers_cut_alike(shards: Path, world: int, workers: int) -> None:
    alone = [cut_patches(batch)["values"] for batch, _ in _stream(shards)]
    ranks = [list(Loader(_stream(shards, rank=rank, world=world, steps=8), workers)) for rank in range(world)]
    for step in zip(*ranks, strict=True):
        assert len({end for _, end in step}) == 1, "the position is that of all ranks"
        for batch, _ in step:
            np.testing.assert_array_equal(cut_patches(batch)["values"], alone.pop(0))


@pytest.mark.parametrize("at", [1, 6, STEPS - 1])
def test_any_step_can_be_resumed_by_its_position(shards: Path, at: int) -> None:
    whole = list(_stream(shards))
    resumed = list(_stream(shards, position=whole[at - 1][1], start=at))
    assert [end for _, end in resumed] == [end for _, end in whole[at:]]
    for (batch, _), (expected, _) in zip(resumed, whole[at:], strict=True):
        np.testing.assert_array_equal(*(cut_patches(each)["values"] for each in (batch, expected)))


def test_a_sample_longer_than_the_limit_is_an_error_that_says_what_to_do(shards: Path) -> None:
    longest = max(_lengths(shards, COUNT))
    with pytest.raises(ShardError, match=rf"has {longest} tokens, more than train\.batch_tokens={longest - 1}; raise"):
        list(_stream(shards, limit=longest - 1, steps=COUNT))
    assert list(_stream(shards, limit=longest))


def test_a_length_is_read_without_the_sample(shards: Path) -> None:
    for signal in read_part(shards)[:30]:
        shape = stored_shape(encode(signal))
        assert shape == signal.values.shape
        assert layout_of(shape, CONFIG).tokens == tokenize([signal], CONFIG)["exists"].shape[1]


def _without_shapes(raw: dict[str, Any]) -> None:
    raw["schema_version"] = 2
    for shard in raw["shards"]:
        del shard["shapes"]


def test_the_manifest_of_an_earlier_version_gives_the_same_batches(shards: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(shards, tmp_path / "old"))
    edit_manifest(old, _without_shapes)
    ours, theirs = list(_stream(shards)), list(_stream(old))
    assert [end for _, end in ours] == [end for _, end in theirs]
    for (batch, _), (expected, _) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(*(cut_patches(each)["values"] for each in (batch, expected)))


def test_lengths_are_known_without_opening_a_shard(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [CorpusSection(shards=shards, samples=60), CorpusSection(shards=shards, weight=2.0)]
    stream = ShardStream(parts, CONFIG, 40, 0, STEPS, batch_tokens=LIMIT)
    one_by_one = ShardStream(parts, CONFIG, 1, 0, 2500)
    found = [int(batch["exists"].sum()) for batch, _ in one_by_one]
    monkeypatch.setattr(corpus, "open_shard", None)
    lengths = stream.lengths(0, 2500)
    assert lengths.tolist() == found, "over epochs and blocks of the mixture"
    assert stream.lengths(995, 1733).tolist() == found[995:1733]


def _one_by_one(first: int, samples: int, limit: int, lengths: list[int]) -> int:
    """End of the batch that begins at `first`, as it is defined."""
    end = first
    while end - first < samples and sum(lengths[first : end + 1]) <= limit:
        end += 1
    return end


@pytest.mark.parametrize("ahead", [1, 3, 2**14])
@pytest.mark.parametrize(("start", "world", "samples"), [(0, 1, 5), (7, 3, 40), (100, 8, 64)])
def test_the_cut_by_running_sums_is_the_cut_by_definition(
    start: int, world: int, samples: int, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "AHEAD", ahead)
    lengths = np.random.default_rng(0).integers(1, 100, 20_000)
    ends = [each.stop for step in itertools.islice(cut(start, world, samples, 300, _of(lengths)), 40) for each in step]
    expected = [start]
    for _ in ends:
        expected.append(_one_by_one(expected[-1], samples, 300, lengths.tolist()))
    assert [start, *ends] == expected


def _of(lengths: np.ndarray) -> batching.Lengths:
    return lambda start, stop: lengths[start:stop]


def test_without_a_limit_no_length_is_asked() -> None:
    def never(start: int, stop: int) -> np.ndarray:
        raise AssertionError(start, stop)

    steps = list(itertools.islice(cut(7, 2, 5, None, never), 2))
    assert steps == [[range(7, 12), range(12, 17)], [range(17, 22), range(22, 27)]]
