"""What all readers share: files that are no files, encodings, incomplete records, values that are given, gzip, JSON."""

from __future__ import annotations

import gzip
import os
import socket
import tracemalloc
import warnings
from pathlib import Path

import pytest

from foundation import readers
from foundation.errors import ReadError
from foundation.readers.files import (
    given_or_stated,
    gunzip,
    gunzip_head,
    largest_claim,
    parse_json,
    plain_text,
    read_bytes,
    whole_records,
)


class TestReadBytes:
    def test_pipes_devices_and_sockets_are_not_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        os.mkfifo(tmp_path / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            monkeypatch.chdir(tmp_path)  # a socket's path is short
            listener.bind("socket")
            for path in (tmp_path / "pipe", tmp_path / "socket", Path("/dev/zero"), Path("/dev/tty")):
                with pytest.raises(ReadError, match=r"is a pipe, device or socket|there is no such file"):
                    readers.read(path)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("none", "there is no such file"),
            ("file/none", "there is no such file"),
            (".", "is a directory"),
            ("a\0b", "is not the name of a file"),
            ("\ud800", "is not the name of a file"),
            ("n" * 5000, "cannot be read .File name too long"),
        ],
    )
    def test_what_cannot_be_read_is_named(self, tmp_path: Path, name: str, message: str) -> None:
        (tmp_path / "file").write_bytes(b"x")
        with pytest.raises(ReadError, match=message) as caught:
            read_bytes(tmp_path / name)
        str(caught.value).encode()  # can be printed


def test_whole_records(tmp_path: Path) -> None:
    assert whole_records(24, 8, "a", "sample") == 3
    with pytest.warns(
        UserWarning, match="^a: the last sample is incomplete, 1 of 8 bytes, and is left out; 3 are whole"
    ):
        assert whole_records(25, 8, "a", "sample") == 3
    for length in (7, 0, -8):
        with pytest.raises(ReadError, match="less than one sample of 8 bytes"):
            whole_records(length, 8, "a", "sample")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_of_any_encoding(encoding: str) -> None:
    assert plain_text("Mode: Ü\r\nb\n".encode(encoding)) == "Mode: Ü\nb\n".encode()
    assert plain_text("Mode: x\n".encode(encoding)[:-1]).startswith(b"Mode: x"[:6])  # cut within a character


def test_bytes_that_are_no_text_are_left_alone() -> None:
    for data in (b"", b"\xff", bytes(64), bytes(range(256)), b"\x00\x01" * 8 + b"\x02\x02", b"a\xe9b"):
        assert plain_text(data) == data.replace(b"\r\n", b"\n") or data.startswith(b"\x00\x01")


def test_what_is_given_wins_over_what_is_stated() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert given_or_stated(None, 5.0, "carrier_hz", "a") == 5.0
        assert given_or_stated(7.0, 0.0, "carrier_hz", "a") == 7.0
        assert given_or_stated(5, 5.0, "carrier_hz", "a") == 5.0
    with pytest.warns(UserWarning, match="^a: says carrier_hz 5; the given 0 is used"):
        assert given_or_stated(0.0, 5.0, "carrier_hz", "a") == 0.0
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ReadError, match="expected a finite number, 0 or more"):
            given_or_stated(wrong, 5.0, "carrier_hz", "a")


class TestGzip:
    DATA = b"".join(b"%d line\n" % number for number in range(9999))

    def test_members_one_after_the_other_and_padding(self) -> None:
        packed = gzip.compress(self.DATA) + gzip.compress(b"") + gzip.compress(b"more") + bytes(700)
        assert gunzip(packed, Path("a")) == self.DATA + b"more"
        assert gunzip(b"plain", Path("a")) == b"plain"
        assert self.DATA.startswith(gunzip_head(packed[:4096]))

    def test_what_is_before_a_cut_or_a_damage_is_read(self) -> None:
        packed = gzip.compress(self.DATA)
        for damaged in (packed[:-9], packed[: len(packed) // 2], packed + b"junk", packed[:-6] + b"\xff" + packed[-5:]):
            with pytest.warns(UserWarning, match="^a: the gzip stream is truncated or damaged .*bytes are read"):
                text = gunzip(damaged, Path("a"))
            assert len(text) > len(self.DATA) // 3
            assert self.DATA.startswith(text)
        with pytest.raises(ReadError, match="the gzip stream is truncated or damaged"):
            gunzip(packed[:12], Path("a"))

    def test_a_bomb_is_refused_before_it_takes_memory(self) -> None:
        packed = gzip.compress(bytes(1 << 27))
        tracemalloc.start()
        try:
            with pytest.raises(ReadError, match=r"^a: \d+ bytes decompress to more than \d+; expected a log"):
                gunzip(packed, Path("a"))
            assert tracemalloc.get_traced_memory()[1] < 3 * 100 * len(packed)
            assert gunzip_head(packed[:4096]) == bytes(1 << 16)
        finally:
            tracemalloc.stop()

    def test_claims(self) -> None:
        assert largest_claim(1000) == 1_100_000
        assert largest_claim(1 << 20) == 1 << 28
        assert largest_claim(1 << 30) == 100 << 30


def test_json() -> None:
    assert parse_json('{"a": "\\ud83d", "b": "\\ud83d\\ude00"}'.encode("utf-16"), "a") == {"a": "?", "b": "😀"}
    for wrong in (b"", b"{", b"[" * 100_000, b"1" * 9999, b"\xff\xfe", b'{"a": ' * 50_000):
        with pytest.raises(ReadError, match=r"^a: is not JSON .*; copy the file again"):
            parse_json(wrong, "a")
