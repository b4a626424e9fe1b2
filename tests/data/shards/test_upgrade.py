"""Shapes and content hashes: written by a build, checked by `verify`, added to shards of earlier versions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.manifests import edit_manifest, reseal, rewrite_tar
from helpers.small_set import COUNT, SHARD_BYTES, _dataset
from helpers.tiny import snapshot

from foundation.cli import main
from foundation.config import CorpusSection
from foundation.data.shards import corpus
from foundation.data.shards.content_hashes import hashes_of, known_among
from foundation.data.shards.manifest import Manifest
from foundation.data.shards.stated_hashes import FILE_NAME
from foundation.data.shards.upgrade import upgrade
from foundation.data.shards.verify import verify
from foundation.data.shards.write import write_shards
from foundation.errors import ShardError


@pytest.fixture
def built(tmp_path: Path) -> Path:
    write_shards(_dataset(), tmp_path / "toy", shard_bytes=SHARD_BYTES)
    return tmp_path / "toy"


def _as_schema_2(raw: dict[str, Any]) -> None:
    raw["schema_version"] = 2
    del raw["content_hashes"]
    for shard in raw["shards"]:
        del shard["shapes"]


def test_a_build_states_the_shapes_of_its_samples(built: Path) -> None:
    manifest = Manifest.load(built)
    assert manifest.schema_version == 3
    found: dict[str, int] = {}
    for count, *shape in (run for shard in manifest.shards for run in shard.shapes):
        name = "x".join(map(str, shape))
        found[name] = found.get(name, 0) + count
    assert found == manifest.summary.shapes


@pytest.mark.parametrize("workers", [1, 2])
def test_an_upgraded_directory_is_what_a_build_gives_now(built: Path, workers: int) -> None:
    whole = snapshot(built)
    edit_manifest(built, _as_schema_2)
    assert Manifest.load(built).shards[0].shapes == []
    assert verify(built) == []
    (built / FILE_NAME).unlink()
    assert upgrade(built, workers=workers)
    assert snapshot(built) == whole
    assert not upgrade(built)
    assert snapshot(built) == whole


def test_the_command_says_what_it_did(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_manifest(built, _as_schema_2)
    assert main(["shards", "upgrade", str(built)]) == 0
    assert "its manifest is of the current version now" in capsys.readouterr().out
    assert main(["shards", "upgrade", str(built)]) == 0
    assert "its manifest is complete already" in capsys.readouterr().out


def test_verify_compares_shapes(built: Path) -> None:
    edit_manifest(built, lambda raw: raw["shards"][1]["shapes"][0].__setitem__(1, 9))
    assert verify(built) == ["toy-000001.tar: the shapes of its samples are not those in the manifest; rebuild."]


def test_content_hashes_are_read_where_a_build_wrote_them(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [
        CorpusSection(shards=built),
        CorpusSection(shards=built, split="main", part="test"),
        CorpusSection(shards=built, split="main", part="train", sessions=2, samples=5),
    ]
    read = [hashes_of([part]) for part in parts]
    monkeypatch.setattr(corpus, "load_stated", lambda *_: None)
    for part, hashes in zip(parts, read, strict=True):
        assert np.array_equal(hashes_of([part]), hashes)
    assert [len(hashes) for hashes in read] == [COUNT, 5, 5]
    assert np.array_equal(hashes_of(parts), read[0])


def test_hashes_of_other_shards_are_not_believed(built: Path) -> None:
    before = hashes_of([CorpusSection(shards=built)])
    rewrite_tar(built / "toy-000001.tar", lambda members: [(name, _turned(name, data)) for name, data in members])
    reseal(built)
    after = hashes_of([CorpusSection(shards=built)])
    assert known_among(after, before) == COUNT - 7
    assert verify(built) == []
    assert upgrade(built)
    assert np.array_equal(hashes_of([CorpusSection(shards=built)]), after)


def _turned(name: str, data: bytes) -> bytes:
    return data if not name.endswith("signal.npy") else data[:128] + data[:127:-1]


def test_a_damaged_file_of_hashes_is_told(built: Path) -> None:
    path = built / FILE_NAME
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    message = r"content_hashes\.npy: its bytes are not those that the manifest lists \(sha256\); copy it again"
    with pytest.raises(ShardError, match=message):
        hashes_of([CorpusSection(shards=built)])
    (problem,) = verify(built)
    assert re.search(message, problem)
    path.unlink()
    assert len(hashes_of([CorpusSection(shards=built)])) == COUNT


def test_a_damaged_shard_is_not_upgraded(built: Path) -> None:
    edit_manifest(built, _as_schema_2)
    rewrite_tar(built / "toy-000001.tar", lambda members: members[:-1])
    before = snapshot(built)
    with pytest.raises(ShardError, match=r"toy-000001\.tar"):
        upgrade(built)
    assert snapshot(built) == before
