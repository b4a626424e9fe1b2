"""Shards and manifests as an attacker or an accident leaves them: one sentence, and no sample in the wrong part."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.manifests import edit_manifest, reseal, rewrite_tar
from helpers.signals import make_signal
from helpers.small_set import COUNT, SHARD_BYTES, _dataset

from foundation.cli import main
from foundation.config import CorpusSection
from foundation.data.shards.corpus import Corpus, read_part
from foundation.data.shards.manifest import Manifest
from foundation.data.shards.spec import Dataset
from foundation.data.shards.tar_headers import Member, members
from foundation.data.shards.verify import print_info, verify
from foundation.data.shards.write import write_shards
from foundation.data.webdataset import pipeline
from foundation.errors import ShardError, SignalError
from foundation.signal import Link

READS: list[Callable[[Path], object]] = [read_part, lambda folder: list(pipeline(folder))]


@pytest.fixture
def built(tmp_path: Path) -> Path:
    write_shards(_dataset(), tmp_path / "toy", shard_bytes=SHARD_BYTES)
    return tmp_path / "toy"


def test_a_manifest_that_names_no_shards_holds_nothing_and_is_told_by_verify(built: Path) -> None:
    edit_manifest(built, lambda raw: raw.update(shards=[]))
    assert list(Corpus(CorpusSection(shards=built))) == []
    assert "manifest: count is 20 but its shards add up to 0." in verify(built)


def _as_schema_1(raw: dict[str, Any]) -> None:
    raw["schema_version"] = 1
    raw.pop("left_out")
    raw.pop("content_hashes")
    for shard in raw["shards"]:
        del shard["shapes"]
        shard["sessions"] = dict(shard["sessions"])


def test_a_manifest_of_the_first_schema_is_read_and_its_build_is_known(built: Path) -> None:
    before = [signal.session for signal in read_part(built)]
    edit_manifest(built, _as_schema_1)
    assert [signal.session for signal in read_part(built)] == before
    assert verify(built) == []
    assert write_shards(_dataset(), built, shard_bytes=SHARD_BYTES).count == COUNT
    edit_manifest(built, lambda raw: raw.update(name="z"))
    with pytest.raises(ShardError, match="a finished build with name 'z'"):
        write_shards(_dataset(), built, shard_bytes=SHARD_BYTES)


@pytest.mark.parametrize("read", READS)
def test_sorted_keys_change_no_session(built: Path, read: Callable[[Path], object]) -> None:
    def turn(raw: dict[str, Any]) -> None:
        _as_schema_1(raw)
        raw["shards"][0]["sessions"] = dict(reversed(raw["shards"][0]["sessions"].items()))

    edit_manifest(built, turn)
    with pytest.raises(
        ShardError, match=r"of session 's0' where its manifest says .* so that a split would mix sessions"
    ):
        read(built)
    assert any("the sessions of its samples, or their order, are not those" in each for each in verify(built))


def test_a_new_manifest_stands_sorting(built: Path) -> None:
    path = built / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert len(read_part(built, "main", "test")) == 5
    assert verify(built) == []


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("read", READS)
def test_shards_that_were_swapped_are_not_read(built: Path, sealed: bool, read: Callable[[Path], object]) -> None:
    one, two, *_ = sorted(built.glob("*.tar"))
    first = one.read_bytes()
    shutil.move(two, one)
    two.write_bytes(first)
    if sealed:
        reseal(built)
    with pytest.raises(ShardError, match=r"manifest says|sha256"):
        read(built)
    assert verify(built) != []


@pytest.mark.parametrize("read", READS)
def test_a_flipped_bit_is_not_trained_on(built: Path, read: Callable[[Path], object]) -> None:
    path = built / "toy-000001.tar"
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardError, match=r"toy-000001\.tar: its bytes are not those .* \(sha256\).*wfm shards verify"):
        read(built)


def test_checksums_are_compared_once_but_again_after_a_change(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from foundation.data.shards import corpus as module
    from foundation.data.shards import tar_index

    compared: list[str] = []
    compare = tar_index._compare
    monkeypatch.setattr(tar_index, "_compare", lambda tar, shard: (compared.append(shard.file), compare(tar, shard)))
    monkeypatch.setattr(module, "OPEN_SHARDS", 1)
    corpus = Corpus(CorpusSection(shards=built))
    assert len(list(corpus)) == len(list(corpus)) == COUNT
    assert sorted(compared) == sorted(set(compared)), "shards are opened again and again, and compared once"
    path = built / corpus.shards[0][0].file
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardError, match="sha256"):
        corpus.read(0, 0)


SHRINK = """
import sys
from foundation.config import CorpusSection
from foundation.data.shards.corpus import Corpus
corpus = Corpus(CorpusSection(shards=sys.argv[1]))
signal = corpus.read(0, 0)
open(f"{sys.argv[1]}/{corpus.shards[0][0].file}", "r+b").truncate(4096)
print(abs(signal.values).sum())
corpus.read(0, 3)
"""


def test_a_shard_that_is_truncated_while_it_is_read_is_a_sentence(built: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SHRINK, str(built)], capture_output=True, text=True)
    assert done.returncode == 1, "killed by SIGBUS"
    assert "ShardError" in done.stderr.splitlines()[-1]
    assert "has 4096 bytes where its manifest says" in done.stderr


def _header(name: bytes = b"a.signal.npy", size: bytes = b"00000000000\0", kind: bytes = b"0") -> bytes:
    header = bytearray(512)
    header[:100] = name.ljust(100, b"\0")
    header[124:136] = size
    header[156:157] = kind
    header[257:265] = b"ustar\x0000"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def _walk(data: bytes) -> list[Member]:
    return list(members(len(data), lambda at, size: data[at : at + size]))


PAX = b"19 GNU.sparse.x=1\n\0"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_header(size=b"-0000001000\0"), "expected octal digits"),
        (_header(size=b"0x000000100\0"), "expected octal digits"),
        (_header(size=b"77777777777\0"), "is cut off"),
        (_header(size=b"\x80" + b"\xff" * 11), "is cut off"),
        (_header(size=b"\xff" * 12), "expected octal digits"),
        (_header(kind=b"S"), "of type b'S'; expected plain files"),
        (_header(kind=b"V"), "of type b'V'"),
        (_header(kind=b"x", size=b"00000000023\0") + PAX.ljust(512, b"\0"), "sparse|damaged"),
        (_header(kind=b"x", size=b"00000000012\0") + b"999 path=ab\n".ljust(512, b"\0"), "damaged"),
        (_header(kind=b"L", size=b"00010000000\0") + bytes(2**21), "expected plain files"),
        (_header()[:400], "without the two empty blocks"),
        (_header().replace(b"a.sig", b"b.sig"), "wrong checksum"),
        (_header(name=b"\xff\xfe.npy"), "decode"),
    ],
)
def test_headers_that_lie_end_in_a_reason(data: bytes, message: str) -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match=message):
        _walk(data)
    assert time.monotonic() - started < 1


def test_a_chain_of_long_names_is_walked_in_a_line(tmp_path: Path) -> None:
    chain = (_header(kind=b"L", size=b"00000000003\0") + b"abc".ljust(512, b"\0")) * 20_000
    assert _walk(chain + _header() + bytes(1024)) == [Member("abc", True, 20_000 * 1024 + 512, 0)]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_other_programs_are_read(tmp_path: Path, form: int) -> None:
    long = "long/" * 30 + "name.signal.npy"
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"12345")
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as tar:
        tar.add(tmp_path / "folder", "folder")
        tar.add(tmp_path / "file", "é.npy")
        tar.add(tmp_path / "file", long)
    data = (tmp_path / "a.tar").read_bytes()
    found = _walk(data)
    assert [each.name.rstrip("/") for each in found] == ["folder", "é.npy", long]
    assert [each.is_file for each in found] == [False, True, True]
    assert all(data[each.start : each.start + each.size] == b"12345" for each in found[1:])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda raw: raw["shards"][0].update(count=10**9), "the sessions add up to"),
        (lambda raw: raw["shards"][0].update(count=10**9, sessions=[["s0", 10**9]]), "do not fit into"),
        (
            lambda raw: raw["shards"][0].update(count=10**7, sessions=[["s0", 10**7]], bytes=2**35, shapes=[]),
            "bytes where",
        ),
        (lambda raw: raw["shards"][0].update(shapes=[[1, 64, 1, 1]]), "shapes are of another number of samples"),
        (lambda raw: raw["shards"][0]["shapes"][0].__setitem__(1, 2**40), "a sample of its shapes does not fit into"),
        (lambda raw: raw["shards"][0].update(bytes=2**60), "less than or equal"),
        (lambda raw: raw["shards"][0].update(count=-1), "greater than or equal"),
        (lambda raw: raw["shards"][0].update(sessions=[["s0", 1], ["s0", 1]]), "each session once"),
        (lambda raw: raw["shards"][0].update(sessions=[["s0"]]), "expected pairs"),
        (lambda raw: raw["shards"].append(raw["shards"][0]), "listed twice"),
        (lambda raw: raw.update(count=2**70), "less than or equal"),
        (lambda raw: raw.update(count="20"), "valid integer"),
        (lambda raw: raw.update(version=True), "valid integer"),
        (lambda raw: raw.update(name="a/../b"), "should match"),
        (lambda raw: raw["splits"]["main"]["train"].append("s3"), "session s3 leaks"),
        (lambda raw: raw["splits"]["main"].update(test=["s9"]), "session s9 of test has no samples"),
    ],
)
def test_a_manifest_is_believed_as_far_as_its_files_reach(
    built: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit_manifest(built, edit)
    for read in (lambda: read_part(built, "main", "test"), lambda: list(pipeline(built, "main", "test"))):
        with pytest.raises(ShardError, match=message) as told:
            read()
        assert str(built) in str(told.value) or "toy" in str(told.value)


@pytest.mark.parametrize(
    "text", ["[" * 10**6, '{"schema_version": 1, "schema_version": 2}', "[1]", '"x"', "1", "\ufeff"]
)
def test_a_manifest_of_hostile_json_is_a_sentence(built: Path, text: str) -> None:
    (built / "manifest.json").write_text(text)
    with pytest.raises(ShardError, match=r"manifest\.json"):
        Manifest.load(built)


@pytest.mark.parametrize("name", ["manifest.json", "toy-000000.tar"])
def test_pipes_and_devices_are_not_waited_for(built: Path, name: str) -> None:
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        (built / name).unlink()
        make(built / name)
        for read in (read_part, lambda folder: list(pipeline(folder))):
            with pytest.raises(ShardError, match=r"is missing; restore|no finished build is here"):
                read(built)


def test_links_and_labels_that_cannot_be_are_found_by_verify(built: Path) -> None:
    with pytest.raises(SignalError, match="has -1 to 0; expected antennas counted from 0"):
        make_signal().with_(links=(Link(-1, 0), Link(0, 1)))

    def spoil(found: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        changed = {}
        for name, data in found:
            if name == "s0-0000.meta.json":
                data = data.replace(b'"links":[[0,', b'"links":[[-1,')
            if name == "s0-0002.meta.json":
                data = data.replace(b'"place":[1.0,1.0]', b'"place":[1.0]')
            changed[name] = data
        assert changed != dict(found)
        return list(changed.items())

    rewrite_tar(built / "toy-000000.tar", spoil)
    reseal(built)
    problems = " ".join(verify(built))
    assert "has -1 to 0; expected antennas counted from 0" in problems
    assert "label 'place' has 1 components; earlier samples have 2" in problems
    with pytest.raises(ShardError, match="has -1 to 0"):
        read_part(built)


def test_against_a_directory_without_samples_is_an_error(built: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(built, tmp_path / "other"))
    edit_manifest(other, lambda raw: raw.update(shards=[], count=0, bytes=0, splits={}))
    for path in other.glob("*.tar"):
        path.unlink()
    assert main(["shards", "verify", str(built), "--against", str(other)]) == 2
    other = Path(shutil.copytree(built, tmp_path / "emptied"))
    (other / "toy-000001.tar").write_bytes(bytes(10240))
    assert main(["shards", "verify", str(built), "--against", str(other)]) == 2


def test_duplicates_are_a_problem_only_across_a_split(tmp_path: Path) -> None:
    def dataset(twin_session: str) -> Dataset:
        fields: dict[str, Any] = {"labels": {"activity": "walk"}}
        keys = {"a": (0, "s0"), "b": (1, "s0"), "c": (1, twin_session), "d": (2, "s9")}
        samples = [(key, make_signal(seed, session=session, **fields)) for key, (seed, session) in keys.items()]
        parts = {"train": list(dict.fromkeys(["s0", twin_session])), "test": ["s9"]}
        if twin_session == "s5":
            parts = {"train": ["s0"], "test": ["s5", "s9"]}
        return _dataset(lambda: iter(samples), splits=lambda: {"main": parts})

    for session in ("s0", "s1"):
        write_shards(dataset(session), tmp_path / session)
        match = rf"c \(session {session}\): has the same values as b \(session s0\); one recording is in the set twice"
        with pytest.warns(UserWarning, match=match):
            assert verify(tmp_path / session) == []
    write_shards(dataset("s5"), tmp_path / "s5")
    (problem,) = verify(tmp_path / "s5")
    assert (
        "c (session s5): has the same values as b (session s0), and split 'main' has them in 'train' and 'test'"
        in problem
    )


def test_names_are_printed_and_not_obeyed(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_manifest(built, lambda raw: raw.update(title="[red]x[/x] \x1b[2J", licence="[bold]\x07"))
    print_info(built)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[red]x[/x]" in shown


def test_numpy_numbers_are_antennas() -> None:
    assert len(make_signal().with_(links=(Link(np.int64(0), np.uint8(3)), Link(0, 1))).links) == 2  # type: ignore[arg-type]
