"""Shards behind http and s3: the batches and signals of a local directory, each shard fetched once, clear failures."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.server
import shutil
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import webdataset
from helpers.servers import Server
from helpers.streams import BATCH, prints_of, stream_of

from benchmarks.servers import s3_server
from foundation.cli import main
from foundation.config import CorpusSection
from foundation.data.loader import Loader
from foundation.data.shards import address
from foundation.data.shards.corpus import Corpus, read_part
from foundation.data.shards.manifest import Manifest
from foundation.data.webdataset import pipeline
from foundation.errors import ShardError


@pytest.fixture
def served(server: Server) -> str:
    return server.address


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat failed requests at once."""
    monkeypatch.setattr(address, "PAUSES_S", (0.0, 0.0))


@pytest.fixture(scope="module")
def bucket(shards_dir: Path) -> Iterator[str]:
    with s3_server(shards_dir) as bucket:
        yield bucket


@pytest.fixture(params=["served", "bucket"])
def remote(request: pytest.FixtureRequest) -> str:
    """The shards behind http and s3."""
    return str(request.getfixturevalue(request.param))


def test_a_stream_gives_the_batches_of_a_local_one_and_resumes(shards_dir: Path, remote: str) -> None:
    expected = prints_of(stream_of(shards_dir))
    assert prints_of(Loader(stream_of(remote), 2)) == expected
    assert prints_of(stream_of(remote, position=20 * BATCH, start=20)) == expected[20:]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pipeline_gives_the_signals_of_a_local_one(shards_dir: Path, remote: str, workers: int) -> None:
    expected = Counter(signal.values.tobytes() for signal in read_part(shards_dir, "room", "test"))
    loader = webdataset.WebLoader(pipeline(remote, "room", "test", shuffle=64), batch_size=None, num_workers=workers)
    assert Counter(signal.values.tobytes() for signal in loader) == expected


@pytest.mark.parametrize(
    "read",
    [
        lambda where: list(stream_of(where, split=None, part=None, batch_size=10, steps=40, batch_tokens=10**6)),
        lambda where: list(Corpus(CorpusSection(shards=where, kinds=["csi"], sessions=40))),
        lambda where: list(pipeline(where, shuffle=64)),
    ],
    ids=["stream", "corpus of kinds", "pipeline"],
)
def test_every_shard_is_fetched_once(shards_dir: Path, server: Server, read: Callable[[str], object]) -> None:
    read(server.address)
    files = [shard.file for shard in Manifest.load(shards_dir).shards]
    assert len(files) > 16, "more than the window of the shuffle"
    assert server.requests == Counter(["/manifest.json", *(f"/{file}" for file in files)])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("failures", [[503, 429], [0, 500]])
def test_a_request_that_fails_for_a_moment_is_repeated(server: Server, failures: list[int]) -> None:
    server.failures += failures
    assert Manifest.load(server.address).count == 400
    assert server.requests == {"/manifest.json": 3}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("failures", "message", "requests"),
    [
        ([404], r"manifest\.json: cannot be fetched \(it does not exist; check the address\)\.$", 1),
        ([403], r"manifest\.json: cannot be fetched \(access denied; check the credentials\)\.$", 1),
        ([418], r"manifest\.json: cannot be fetched \(HTTP status 418; try again later or check the address\)\.$", 1),
        ([502, 502, 502], r"manifest\.json: cannot be fetched \(HTTP status 502; .*\)\.$", 3),
        ([0, 0, 0], r"manifest\.json: cannot be fetched \(ClientPayloadError; check .*\)\.$", 3),
    ],
)
def test_a_failure_is_one_sentence(server: Server, failures: list[int], message: str, requests: int) -> None:
    server.failures += failures
    with pytest.raises(ShardError, match=message):
        Manifest.load(server.address)
    assert server.requests["/manifest.json"] == requests


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "READ_S", 0.3)
    monkeypatch.setattr(address, "PAUSES_S", ())
    with socketserver.TCPServer(("127.0.0.1", 0), None) as silent:  # type: ignore[arg-type]
        url = f"http://127.0.0.1:{silent.server_address[1]}"
        with pytest.raises(ShardError, match=r"cannot be fetched \(no answer within 0\.3 s; check the network"):
            Manifest.load(url)


SHOWN = r"^http://\(left out\)@127.*/nowhere/manifest\.json\?\(left out\): cannot be fetched"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("failures", [[], [403], [0, 0, 0]])
def test_no_credential_is_told(server: Server, failures: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    secret = server.address.replace("//", "//me:hunter2@") + "/nowhere?X-Amz-Signature=hunter3"
    server.failures += failures
    for read in (Manifest.load, stream_of, pipeline):
        with pytest.raises(ShardError, match=SHOWN) as told:
            read(secret)
        assert told.value.__cause__ is None
        assert told.value.__suppress_context__, "the library's own error names the whole address"
    assert "hunter" not in "".join(capfd.readouterr())
    assert set(server.requests) == {"/nowhere/manifest.json?X-Amz-Signature=hunter3"}


def test_a_signed_directory_is_read_with_its_signature(shards_dir: Path, server: Server) -> None:
    assert len(list(pipeline(f"{server.address}/?sig=key", "room", "test"))) == 96
    assert set(server.requests) == {path for path in server.requests if path.endswith("?sig=key")}


class _Endless(http.server.BaseHTTPRequestHandler):
    """Sends zeros: without an end, compressed, or a byte at a time."""

    def do_GET(self) -> None:
        body = gzip.compress(bytes(50_000_000)) if "gzip" in self.path else b""
        self.send_response(200)
        if body:
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            while not body:
                self.wfile.write(bytes(1 if "slow" in self.path else 2**16))
                time.sleep(0.02 if "slow" in self.path else 0)
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("endless", "is larger than the 100000 bytes that are expected"),
        ("gzip", "is larger than the 100000 bytes that are expected"),
        ("slow", "it sends less than 1000000 bytes per second; check the server"),
    ],
)
def test_a_server_that_never_ends_fills_no_memory_and_no_hour(
    path: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "READ_S", 0.5)
    monkeypatch.setattr(address, "LEAST_RATE", 1_000_000)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Endless) as endless:
        endless.daemon_threads = True
        threading.Thread(target=endless.serve_forever, daemon=True).start()
        started = time.monotonic()
        with pytest.raises(ShardError, match=message):
            address.fetch(f"http://127.0.0.1:{endless.server_port}/{path}", 100_000)
        assert time.monotonic() - started < 10
        endless.shutdown()


def test_a_flipped_bit_or_another_size_behind_a_url_is_found(shards_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shards_dir, tmp_path / "copy"))
    shard = Manifest.load(copy).shards[0]
    data = bytearray((copy / shard.file).read_bytes())
    data[5000] ^= 1
    with Server(copy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for damaged, message in ((bytes(data), r"\(sha256\)"), (bytes(data) + b"x", "is larger than the")):
            (copy / shard.file).write_bytes(damaged)
            for read in (read_part, lambda where: list(pipeline(where))):
                with pytest.raises(ShardError, match=message):
                    read(server.address)
        server.shutdown()


@pytest.mark.usefixtures("quick")
def test_credentials_may_stand_in_netrc(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert Manifest.load(server.address).count == 400
    assert server.authorizations == ["Basic " + base64.b64encode(b"me:hunter2").decode()]


def test_what_was_left_out_of_a_recipe_is_asked_for() -> None:
    with pytest.raises(ShardError, match=r"put them into ~/\.netrc, or give it again"):
        Manifest.load("https://(left out)@host.example/set")


def test_a_plan_opens_nothing_remote(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config", "recipes/quickstart.yaml", f"data.shards={server.address}"]
    assert main(["plan", *words]) == 0
    assert "shards are not built here" in " ".join(capsys.readouterr().out.split())
    assert main(["pretrain", *words, "--dry-run"]) == 0
    assert not server.requests


def test_buckets_and_keys_that_do_not_exist(bucket: str) -> None:
    for where in (f"{bucket}-other", "s3://no-such-bucket/set"):
        with pytest.raises(ShardError, match=rf"^{where}/manifest\.json: cannot be fetched \(it does not exist"):
            read_part(where)


def test_a_shard_that_is_damaged_behind_a_url(shards_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shards_dir, tmp_path / "copy"))
    shard = Manifest.load(copy).shards[0].file
    (copy / shard).write_bytes((copy / shard).read_bytes()[:5000])
    with Server(copy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for read in (read_part, lambda where: list(pipeline(where))):
            with pytest.raises(
                ShardError, match=rf"^http://127\.0\.0\.1:\d+/{shard}: has 5000 bytes where its manifest says"
            ):
                read(server.address)
        server.shutdown()
