"""The cache of fetched shards: each is fetched once per node, its size is bounded, nothing in it is half written."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.servers import Server
from helpers.streams import prints_of, stream_of

from benchmarks.servers import s3_server
from foundation.config import CorpusSection
from foundation.data.loader import Loader
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest
from foundation.data.shards.shard_cache import PARTIAL, ShardCache
from foundation.errors import ShardError

#: Reads a whole directory through a cache, and prints how often it fetched a shard.
READ = """
import sys
from pathlib import Path
from foundation.config import CorpusSection
from foundation.data.shards import tar_index
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.shard_cache import ShardCache
fetched, fetch = [], tar_index.fetch
tar_index.fetch = lambda *given: (fetched.append(given), fetch(*given))[1]
print(len(list(Corpus(CorpusSection(shards=sys.argv[1]), ShardCache(Path(sys.argv[2]), int(sys.argv[3]))))))
print(len(fetched))
"""


@pytest.fixture(scope="module")
def bucket(shards_dir: Path) -> Iterator[str]:
    with s3_server(shards_dir) as bucket:
        yield bucket


def _reader(where: str, folder: Path, most: int = 10**9) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", READ, where, str(folder), str(most)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _left(folder: Path) -> set[str]:
    return {path.suffix for path in folder.iterdir()}


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_two_processes_fetch_each_shard_once(
    scheme: str, shards_dir: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = request.getfixturevalue("server").address if scheme == "http" else request.getfixturevalue("bucket")
    readers = [_reader(where, tmp_path) for _ in range(2)]
    said = [reader.communicate()[0].split() for reader in readers]
    shards = Manifest.load(shards_dir).shards
    assert [count for count, _ in said] == ["400", "400"]
    assert sum(int(fetched) for _, fetched in said) == len(shards)
    assert {path.name for path in tmp_path.iterdir()} == {f"{shard.sha256}.tar" for shard in shards}


def test_a_stream_reads_from_it_what_it_reads_without(shards_dir: Path, server: Server, tmp_path: Path) -> None:
    expected = prints_of(stream_of(shards_dir))
    cache = ShardCache(tmp_path, 10**9)
    for _ in range(2):
        assert prints_of(Loader(stream_of(server.address, cache=cache), 2)) == expected
    files = [path for path in server.requests if path.endswith(".tar")]
    assert {server.requests[path] for path in files} == {1}, "two workers, twice"


def test_the_bound_holds_and_what_was_read_least_recently_goes(
    shards_dir: Path, server: Server, tmp_path: Path
) -> None:
    shards = Manifest.load(shards_dir).shards
    most = sum(shard.bytes for shard in shards[:5])
    cache = ShardCache(tmp_path, most)
    for number in (0, 1, 2, 3, 0, 4, 5, 6):
        Corpus(CorpusSection(shards=server.address), cache).read(number, 0)
        gc.collect()  # a corpus refers to itself; until it is collected, its shard is open
        assert _size(tmp_path) <= most
    kept = {shard.sha256 for shard in shards[:7] if (tmp_path / f"{shard.sha256}.tar").exists()}
    assert shards[0].sha256 in kept, "it was read again"
    assert not kept & {shards[1].sha256}
    assert shards[6].sha256 in kept


def test_what_is_open_is_never_deleted(shards_dir: Path, server: Server, tmp_path: Path) -> None:
    """Where all of the cache is in use, a process keeps the next shard in its own memory."""
    shards = Manifest.load(shards_dir).shards
    cache = ShardCache(tmp_path, sum(shard.bytes for shard in shards[:3]))
    corpus = Corpus(CorpusSection(shards=server.address), cache)
    whole = [signal.values.tobytes() for signal in corpus]
    assert len(whole) == 400
    assert {path.stem for path in tmp_path.iterdir()} == {shard.sha256 for shard in shards[:3]}
    assert [signal.values.tobytes() for signal in corpus] == whole
    other = Corpus(CorpusSection(shards=server.address), cache)
    assert other.read(7, 0).values.tobytes() == corpus.read(7, 0).values.tobytes()
    del corpus, other
    gc.collect()
    Corpus(CorpusSection(shards=server.address), cache).read(7, 0)
    assert (tmp_path / f"{shards[7].sha256}.tar").exists(), "as soon as they are closed they make room"


def test_a_killed_download_leaves_nothing_half_done(shards_dir: Path, server: Server, tmp_path: Path) -> None:
    server.pause_s = 30.0
    reader = _reader(server.address, tmp_path)
    while not any(path.suffix == PARTIAL for path in tmp_path.glob("*")):
        assert reader.poll() is None
        time.sleep(0.05)
    reader.send_signal(signal.SIGKILL)
    reader.wait()
    assert ".tar" not in _left(tmp_path)
    server.pause_s = 0.0
    said, _ = _reader(server.address, tmp_path).communicate()
    assert said.split() == ["400", str(len(Manifest.load(shards_dir).shards))]
    assert _left(tmp_path) == {".tar"}


@pytest.mark.parametrize("damage", [lambda data: data[:-1] + b"x", lambda data: data[:5000], lambda data: b""])
def test_a_damaged_file_is_fetched_again(damage: object, shards_dir: Path, server: Server, tmp_path: Path) -> None:
    shard, cache = Manifest.load(shards_dir).shards[0], ShardCache(tmp_path, 10**9)
    expected = Corpus(CorpusSection(shards=server.address), cache).read(0, 0)
    path = tmp_path / f"{shard.sha256}.tar"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))  # type: ignore[operator]
    assert (Corpus(CorpusSection(shards=server.address), cache).read(0, 0).values == expected.values).all()
    assert path.read_bytes() == whole
    assert server.requests[f"/{shard.file}"] == 2


def test_a_shard_that_is_damaged_behind_its_address_is_an_error_and_not_kept(
    shards_dir: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foundation.data.shards.tar_index.fetch", lambda url, size: bytes(size))
    with pytest.raises(ShardError, match=rf"^{server.address}/simulated-000000\.tar: "):
        Corpus(CorpusSection(shards=server.address), ShardCache(tmp_path, 10**9)).read(0, 0)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_said_and_does_without(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    corpus = Corpus(CorpusSection(shards=server.address), ShardCache(tmp_path / "file", 10**9))
    with pytest.warns(UserWarning, match=r"file: shards cannot be cached here \(.*\); each process fetches"):
        corpus.read(0, 0)


def test_it_lies_where_caches_of_users_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ShardCache.of(None, 1.5) == ShardCache(tmp_path / "wfm" / "shards", 1_500_000_000)
    assert ShardCache.of(tmp_path, 1) == ShardCache(tmp_path, 10**9)
    assert ShardCache.of(tmp_path, 0) is None
