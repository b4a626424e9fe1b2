"""Addresses: known schemes only, no command ever run, local folders of any name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from foundation.config import CorpusSection
from foundation.data.shards.address import is_url, join
from foundation.data.shards.corpus import Corpus, read_part
from foundation.data.shards.manifest import Manifest
from foundation.data.stream import ShardStream
from foundation.data.webdataset import pipeline
from foundation.errors import MissingExtraError, ShardError
from foundation.models import WfmConfig

KNOWN = r"use a local path or one of file://, http://, https://, s3://, gs://\.$"


@pytest.mark.parametrize(
    "template",
    [
        "pipe:touch {}; cat /dev/null",
        "pipe://touch {}",
        "pipe:touch {}#" + "x" * 5000,
        "simplecache::file://{}",
        "filecache::pipe:touch {}",
        "reference://{}",
        "zip://a::file://{}",
        "github://me:key@{}",
        "sftp://host{}",
        "local://{}",
        "data:,{}",
        "memory://{}",
        "file://elsewhere{}",
    ],
)
def test_an_address_of_another_scheme_is_refused_and_runs_nothing(template: str, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    where = template.format(proof)
    readers = (
        Manifest.load,
        read_part,
        pipeline,
        lambda where: ShardStream([CorpusSection(shards=where)], WfmConfig(), 1, 0, 1),
    )
    for read in readers:
        with pytest.raises(ShardError, match=KNOWN) as told:
            read(where)
        assert "key" not in str(told.value)
    assert not proof.exists()


def test_a_folder_may_be_called_like_a_scheme(
    shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("day:1").symlink_to(shards_dir)
    assert not is_url("day:1")
    assert len(read_part("day:1", "room", "test")) == len(list(pipeline(Path("day:1"), "room", "test"))) == 96


def test_a_file_url_is_the_local_path_and_mapped(shards_dir: Path, tmp_path: Path) -> None:
    link = tmp_path / "with a space"
    link.symlink_to(shards_dir)
    part = CorpusSection(shards=link.as_uri())
    assert part.shards == str(link)
    assert Manifest.load(link.as_uri()) == Manifest.load(shards_dir)
    assert sum(Corpus(part).counts) == 400


@pytest.mark.parametrize(
    ("directory", "joined"),
    [
        ("a/b", "a/b/x"),
        ("s3://bucket/a?b", "s3://bucket/a?b/x"),
        ("https://host/a", "https://host/a/x"),
        ("https://host/a/?sig=k/y#z", "https://host/a/x?sig=k/y#z"),
        ("http://[::1]:8000", "http://[::1]:8000/x"),
    ],
)
def test_a_file_of_a_directory(directory: str, joined: str) -> None:
    assert join(directory, "x") == joined


@pytest.mark.parametrize(("scheme", "library"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_library_is_named(scheme: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"^{scheme}:// addresses need {library}; run 'pip install {library}'"):
        Manifest.load(f"{scheme}://bucket/set")
