"""Subsets of a corpus: the requested number of samples and sessions; no others are trained on or recorded."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import pretrain_recipe

from foundation.config import CorpusSection, PretrainRecipe, load_recipe
from foundation.data.shards.content_hashes import hashes_of, load_hashes
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Shard
from foundation.data.shards.subset import packed, pieces_of, rows_in, select_subset, size_of
from foundation.data.shards.write import write_shards
from foundation.data.stream import ShardStream
from foundation.datasets import open_dataset
from foundation.errors import RecipeError, ShardError
from foundation.models import WfmConfig
from foundation.train.directory.provenance import seen_in_training, write_record


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 windows of all kinds in 24 sessions of four, in several shards."""
    out = tmp_path_factory.mktemp("corpus") / "corpus"
    write_shards(open_dataset("simulated-corpus", count=96, seed=0), out, shard_bytes=2**19)
    return out


def test_the_first_sessions_and_as_many_samples_of_each(corpus_dir: Path) -> None:
    whole = Corpus(CorpusSection(shards=corpus_dir, split="room", part="train"))
    assert len(whole.shards) > 1
    assert sum(whole.counts) == 22 * 4
    few = Corpus(CorpusSection(shards=corpus_dir, split="room", part="train", sessions=6))
    assert few.sessions == dict.fromkeys(list(whole.sessions)[:6], 4)
    fewer = Corpus(CorpusSection(shards=corpus_dir, split="room", part="train", sessions=6, samples=9))
    assert fewer.sessions == dict(zip(few.sessions, [2, 2, 2, 1, 1, 1], strict=True))
    assert [signal.session for signal in fewer] == [
        name for name, count in fewer.sessions.items() for _ in range(count)
    ]


def test_samples_are_spread_over_a_session(shards_dir: Path) -> None:
    """Eight windows of every session: of two, one lies in its first half and one in its second."""
    whole = list(Corpus(CorpusSection(shards=shards_dir, sessions=2)))
    times = [signal.values[0, 0, 0] for signal in Corpus(CorpusSection(shards=shards_dir, sessions=2, samples=4))]
    places = [next(i for i, signal in enumerate(whole) if signal.values[0, 0, 0] == value) for value in times]
    assert places == [2, 6, 10, 14]


def test_kinds_are_told_by_the_samples(corpus_dir: Path) -> None:
    wifi = Corpus(CorpusSection(shards=corpus_dir, kinds=["csi", "csi-amplitude"], sessions=5))
    assert {signal.kind for signal in wifi} == {"csi", "csi-amplitude"}
    assert len(wifi.sessions) == 5
    with pytest.raises(ShardError, match="no sample is of kind sonar; its kinds: csi, "):
        Corpus(CorpusSection(shards=corpus_dir, kinds=["sonar"]))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"sessions": 25}, "25 sessions requested, 24 found"),
        ({"sessions": 2, "samples": 9}, "9 samples requested, 8 found"),
    ],
)
def test_less_than_is_asked_for_is_an_error(corpus_dir: Path, asked: dict[str, int], sentence: str) -> None:
    with pytest.raises(ShardError, match=sentence):
        Corpus(CorpusSection(shards=corpus_dir, **asked))


def test_training_reads_these_samples_and_no_others_and_records_them(corpus_dir: Path, tmp_path: Path) -> None:
    part = CorpusSection(shards=corpus_dir, split="room", part="train", sessions=3, samples=6)
    stream = ShardStream([part], WfmConfig(), batch_size=2, seed=0, steps=9)
    drawn = [stream.orders[0].at(position) for position in range(stream.total)]
    assert stream.total == len(set(drawn)) == 6
    recipe = pretrain_recipe(corpus_dir, tmp_path)
    data = {"corpora": [{"shards": str(corpus_dir), "split": "room", "part": "train", "sessions": 3, "samples": 6}]}
    recipe = recipe.model_validate(recipe.model_dump() | {"data": data})
    (seen,) = seen_in_training(recipe)
    assert seen.sessions == sorted(Corpus(part).sessions)
    assert (len(seen.sessions), seen.samples) == (3, 6)
    assert len(hashes_of([part])) == 6
    path = tmp_path / "content_hashes.safetensors"
    write_record(recipe, begun=False)
    assert len(load_hashes(path)) == 6
    recipe.data.corpora[0].sessions, recipe.data.corpora[0].samples = 4, None
    write_record(recipe, begun=False)
    assert len(load_hashes(path)) == 16, "another cut is hashed anew"


def test_an_item_of_a_list_can_be_overridden(tmp_path: Path, shards_dir: Path) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path).model_dump(mode="json")
    recipe["data"] = {"corpora": [{"shards": "a"}, {"shards": "b"}]}
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    found = load_recipe(path, PretrainRecipe, ["data.corpora.1.sessions=7"])
    assert found.data.corpora == [CorpusSection(shards="a"), CorpusSection(shards="b", sessions=7)]
    with pytest.raises(RecipeError, match=r"2 is not an index into a list of 2 items"):
        load_recipe(path, PretrainRecipe, ["data.corpora.2.sessions=7"])


@pytest.mark.parametrize("seed", range(40))
def test_ranges_select_what_sorting_sample_by_sample_would(seed: int) -> None:
    rng = np.random.default_rng(seed)
    selection, of_session = [], list[str]()
    for number in range(rng.integers(1, 6)):
        sessions = {f"s{number + k}": int(rng.integers(1, 12)) for k in range(rng.integers(1, 4))}
        count = sum(sessions.values())
        shard = Shard(file=f"x-{number:06d}.tar", count=count, bytes=4096 * count, sha256="0" * 64, sessions=sessions)
        rows = np.flatnonzero(rng.random(count) < 0.8)
        assert rows_in(packed(rows)).tolist() == rows.tolist()
        selection.append((shard, packed(rows)))
        of_session += [name for row in rows for name in [np.repeat(list(sessions), list(sessions.values()))[row]]]
    turns = Counter[str]()
    first = {name: place for place, name in reversed(list(enumerate(of_session)))}
    ranked = []  # round robin: by how many of its session come before, then by the session
    for name in of_session:
        ranked.append((turns[name], first[name]))
        turns[name] += 1
    for samples in {1, len(of_session) // 2, len(of_session)} - {0}:
        found = select_subset(selection, None, samples, "here")
        assert sum(size_of(ranges) for _, ranges in found) == samples
        counts = Counter[int](place for _, place in sorted(ranked)[:samples])
        kept = Counter(name for shard, ranges in found for name in _names(shard, ranges))
        assert kept == {of_session[place]: count for place, count in counts.items()}


def _names(shard: Shard, ranges: np.ndarray) -> list[str]:
    return [name for name, first, end in pieces_of(shard, ranges) for _ in range(first, end)]
