"""The webdataset pipeline on local shards: every signal of a part once, split by node and worker, in a seeded order."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import webdataset
from helpers.streams import CONFIG, rows_of

from foundation.data.shards.corpus import read_part
from foundation.data.shards.manifest import Manifest
from foundation.data.tokens import tokenize
from foundation.data.webdataset import pipeline
from foundation.errors import ShardError
from foundation.signal import Signal


def _print(signal: Signal) -> bytes:
    return signal.values.tobytes() + signal.session.encode()


@pytest.mark.parametrize(("split", "part"), [("room", "test"), ("room", ["test", "train"]), (None, None)])
def test_it_gives_the_signals_of_a_part_in_stored_order(shards_dir: Path, split: str | None, part: str | None) -> None:
    signals, expected = list(pipeline(shards_dir, split, part)), read_part(shards_dir, split, part)
    assert [_print(signal) for signal in signals] == [_print(signal) for signal in expected]
    assert [dict(signal.labels) for signal in signals] == [dict(signal.labels) for signal in expected]
    assert all(signal.clean is not None for signal in signals)


def test_shards_without_the_part_are_not_opened(shards_dir: Path) -> None:
    sessions = set(Manifest.load(shards_dir).sessions("room", "test"))
    wanted = {shard.file for shard in Manifest.load(shards_dir).shards if sessions & set(shard.sessions)}
    opened = {Path(source["url"]).name for source in pipeline(shards_dir, "room", "test").stage(0)}
    assert opened == wanted
    assert len(wanted) < len(Manifest.load(shards_dir).shards)


def test_the_shuffle_is_seeded_and_another_in_every_pass(shards_dir: Path) -> None:
    plain = [_print(signal) for signal in pipeline(shards_dir)]
    shuffled = pipeline(shards_dir, shuffle=100, seed=3)
    one, two = ([_print(signal) for signal in shuffled] for _ in range(2))
    assert Counter(one) == Counter(two) == Counter(plain)
    assert len({tuple(plain), tuple(one), tuple(two)}) == 3
    again = pipeline(shards_dir, shuffle=100, seed=3)
    assert [[_print(signal) for signal in again] for _ in range(2)] == [one, two]
    assert [_print(signal) for signal in pipeline(shards_dir, shuffle=100, seed=4)] != one
    position = {row: number for number, row in enumerate(one)}
    apart = [abs(position[a] - position[b]) for a, b in itertools.pairwise(plain)]
    assert sum(apart) / len(apart) > 25, "neighbours of a shard are spread over the shuffle buffer"


@pytest.mark.parametrize("workers", [1, 2])
def test_nodes_and_workers_share_the_shards(shards_dir: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found: Counter[bytes] = Counter()
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        signals = pipeline(shards_dir, shuffle=50)
        own = [_print(signal) for signal in webdataset.WebLoader(signals, batch_size=None, num_workers=workers)]
        assert 0 < len(own) < 400
        found.update(own)
    assert found == Counter(_print(signal) for signal in read_part(shards_dir))


def test_further_stages_of_the_library_follow(shards_dir: Path) -> None:
    signals = pipeline(shards_dir, "room", "test", shuffle=50)
    batches = list(signals.batched(8, collation_fn=partial(tokenize, spec=CONFIG)))
    expected = [(tokenize([signal], CONFIG), 0) for signal in read_part(shards_dir, "room", "test")]
    assert Counter(rows_of((batch, 0) for batch in batches)) == Counter(rows_of(expected))
    assert {len(batch["kind"]) for batch in batches[:-1]} == {8}


@pytest.mark.parametrize(
    ("split", "part", "message"),
    [("rooom", "test", "did you mean 'room'"), ("room", "tset", "did you mean 'test'"), ("room", None, "give both")],
)
def test_a_wrong_part_is_an_error_before_the_first_sample(
    shards_dir: Path, split: str, part: str | None, message: str
) -> None:
    with pytest.raises(ShardError, match=message):
        pipeline(shards_dir, split, part)
