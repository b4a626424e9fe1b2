"""Sources of live captures: bytes in order, their time, what is lost, and mistakes in one sentence."""

from __future__ import annotations

import builtins
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.errors import MissingExtraError, ReadError
from foundation.predict.sources import GrowingFile, Pipe, Pump, Udp, source_of
from foundation.readers.live import Piece


def _until(source: Iterator[Piece | None], wanted: bytes) -> list[Piece]:
    """Pieces until they hold this, for five seconds at most."""
    found: list[Piece] = []
    end = time.monotonic() + 5
    while b"".join(piece.data for piece in found) != wanted:
        assert time.monotonic() < end, found
        if (piece := next(source)) is not None:
            found.append(piece)
    return found


def test_a_file_is_followed_and_read_anew_where_it_is_replaced_or_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"one")
    pieces = GrowingFile(path).pieces()
    _until(pieces, b"one")
    with path.open("ab") as file:
        file.write(b"two")
    (piece,) = _until(pieces, b"two")
    assert abs(piece.arrived_s - time.time()) < 5
    assert next(pieces) is None
    path.write_bytes(b"3")
    _until(pieces, b"3")
    (tmp_path / "b").write_bytes(b"another")
    (tmp_path / "b").replace(path)
    _until(pieces, b"another")
    path.unlink()
    assert [next(pieces), next(pieces)] == [None, None], "it may come back"
    path.write_bytes(b"back")
    _until(pieces, b"back")


def test_a_pipe_ends_with_its_writer() -> None:
    read, write = os.pipe()
    os.write(write, b"abc")
    os.close(write)
    assert [piece.data for piece in Pipe(read).pieces() if piece] == [b"abc"]
    os.close(read)


def test_datagrams_come_one_by_one_with_the_time_of_the_kernel() -> None:
    source = Udp("127.0.0.1:0")
    began = time.time()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for data in (b"a", b"", b"bc"):
            sender.sendto(data, ("127.0.0.1", source.port))
    time.sleep(0.3)  # a reader that is busy
    pieces = source.pieces()
    found = [piece for piece in (next(pieces), next(pieces), next(pieces)) if piece]
    assert [piece.data for piece in found] == [b"a", b"", b"bc"]
    assert all(began - 0.1 <= piece.arrived_s for piece in found)
    if os.uname().sysname == "Linux":
        assert found[-1].arrived_s < time.time() - 0.2, "when they came, not when they were read"
    assert next(pieces) is None


class _Burst:
    """Many pieces at once."""

    name, is_datagram = "burst", True

    def __init__(self, count: int, loses: bool) -> None:
        self.count, self.loses = count, loses

    def pieces(self) -> Iterator[Piece | None]:
        for number in range(self.count):
            yield Piece(str(number).encode(), float(number))


@pytest.mark.parametrize("loses", [True, False])
def test_a_pump_keeps_the_order_and_counts_what_is_lost(loses: bool) -> None:
    pump = Pump(_Burst(10_000, loses))
    if loses:
        time.sleep(0.5)  # nobody takes anything meanwhile
    found: list[float] = []
    while (pieces := pump.take(1.0)) is not None:
        assert len(pieces) <= 256
        found += [piece.arrived_s for piece in pieces]
    assert found == sorted(found)
    assert len(found) + pump.lost == 10_000
    assert (pump.lost > 0) == loses


def test_an_error_of_the_source_comes_after_what_it_gave() -> None:
    class Broken(_Burst):
        def pieces(self) -> Iterator[Piece | None]:
            yield from super().pieces()
            raise ReadError("gone")

    pump, found = Pump(Broken(3, loses=False)), 0
    with pytest.raises(ReadError, match="gone"):
        while (pieces := pump.take(1.0)) is not None:
            found += len(pieces)
    assert found == 3


def test_a_closed_pump_lets_its_thread_end() -> None:
    pump = Pump(_Burst(10_000, loses=False))
    pump.close()
    (thread,) = [each for each in threading.enumerate() if each.name == "read burst"] or [None]
    if thread is not None:
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("no/such.pcap", "no/such.pcap: there is no such file; give one that grows, -, udp:PORT or serial:DEVICE"),
        (".", "is a folder or a device; give a file that grows"),
        ("udp:x", "udp:x: 'x' is no port; expected udp:PORT such as udp:5500"),
        ("udp:70000", "'70000' is no port"),
        ("udp:203.0.113.1:5500", "cannot be listened to"),
    ],
)
def test_a_mistake_is_one_sentence(word: str, said: str) -> None:
    with pytest.raises(ReadError, match=said):
        source_of(word)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ReadError, match=r"cannot be listened to .*; name another port"):
            source_of(f"udp:127.0.0.1:{taken.getsockname()[1]}")


def test_a_serial_port_without_pyserial_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *args: object, **options: object) -> object:
        if name == "serial":
            raise ImportError(name)
        return plain(name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"a serial port needs pyserial: pip install 'foundation\[serial\]'"):
        source_of("serial:/dev/ttyUSB0:115200")


def test_a_serial_port_that_is_not_there_is_named() -> None:
    pytest.importorskip("serial", reason="pyserial is not installed")
    with pytest.raises(ReadError, match="serial:/dev/none: cannot be opened"):
        source_of("serial:/dev/none")
