"""Where the bytes of a live capture come from: a growing file, standard input, UDP or a serial port.

A thread reads while predictions are made, into a queue of bounded size: a file and a pipe then wait, and what a
network or a serial port sends meanwhile is lost, and counted.
"""

from __future__ import annotations

import os
import queue
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from foundation.errors import MissingExtraError, ReadError, WfmError
from foundation.readers.live import Piece

BAUD = 921_600  # of the examples of esp-csi and the ESP32-CSI-Tool
_CHUNK, _LONGEST_DATAGRAM = 1 << 16, 1 << 16
_LOOK_S = 0.01  # between two looks at the end of a file
_WAIT_S = 0.2  # after which a reader looks whether it should stop
_PIECES = 4096  # that wait: seconds of the fastest sender, and 256 MiB at most
_TOGETHER = 256  # pieces that are taken at once
_GATHER_S = 0.005  # that a piece waits for those that follow it: decoding one packet takes as long as decoding ten
_BUFFER_BYTES = 1 << 22  # that the system is asked to keep for a socket
#: Option of Linux: the kernel notes when a datagram arrived, which a busy process cannot (socket(7), SO_TIMESTAMPNS).
_TIMESTAMP = getattr(socket, "SO_TIMESTAMPNS", 35) if sys.platform == "linux" else None


class Source(Protocol):
    """Bytes that arrive.

    Attributes:
        name: a name in place of a path.
        is_datagram: every piece is a datagram.
        loses: what is not read in time is lost.
    """

    name: str
    is_datagram: bool
    loses: bool

    def pieces(self) -> Iterator[Piece | None]:
        """Pieces as they arrive until the source ends; None where none came for a while.

        Raises:
            ReadError: it cannot be read any more.
        """


def source_of(word: str) -> Source:
    """The source of a word on the command line: FILE, -, udp:PORT, udp:ADDRESS:PORT, serial:DEVICE[:BAUD].

    Raises:
        ReadError: there is no such file or device, or the port is no number or taken.
        MissingExtraError: a serial port needs pyserial.
    """
    kind, _, rest = word.partition(":")
    if word == "-":
        return Pipe(sys.stdin.fileno())
    if kind == "udp" and rest:
        return Udp(rest)
    if kind == "serial" and rest:
        return Serial(rest)
    return GrowingFile(Path(word))


class GrowingFile:
    """A file that something else appends to, from its beginning; it is read anew where it is replaced or cut."""

    is_datagram = loses = False

    def __init__(self, path: Path) -> None:
        self.name, self._path = str(path), path
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError):
            raise ReadError(
                f"{path}: there is no such file; give one that grows, -, udp:PORT or serial:DEVICE."
            ) from None
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise ReadError(f"{path}: is a folder or a device; give a file that grows, -, udp:PORT or serial:DEVICE.")

    def pieces(self) -> Iterator[Piece | None]:
        while True:
            try:
                with self._path.open("rb", buffering=0) as file:
                    yield from self._follow(file.fileno())
            except FileNotFoundError:  # between two files of a recorder that rotates them
                time.sleep(_LOOK_S)
                yield None
            except OSError as error:
                raise ReadError(f"{self._path}: cannot be read ({error.strerror}); check the permissions.") from error

    def _follow(self, file: int) -> Iterator[Piece | None]:
        """Pieces of one file, until another one has its name or it has become shorter."""
        read = 0
        while True:
            if data := os.read(file, _CHUNK):
                read += len(data)
                yield Piece(data, time.time())
                continue
            time.sleep(_LOOK_S)
            yield None
            own, named = os.fstat(file), self._path.stat()
            if (own.st_dev, own.st_ino) != (named.st_dev, named.st_ino) or (
                stat.S_ISREG(own.st_mode) and own.st_size < read
            ):
                return


class Pipe:
    """Standard input, until it is closed."""

    name, is_datagram, loses = "standard input", False, False

    def __init__(self, file: int) -> None:
        self._file = file

    def pieces(self) -> Iterator[Piece | None]:
        while data := os.read(self._file, _CHUNK):
            yield Piece(data, time.time())


class Udp:
    """Datagrams to a port, of all addresses of this machine where none is named."""

    is_datagram = loses = True

    def __init__(self, place: str) -> None:
        address, _, port = place.rpartition(":")
        if not port.isdecimal() or not 0 <= int(port) < 1 << 16:
            raise ReadError(
                f"udp:{place}: {port!r} is no port; expected udp:PORT such as udp:5500, or udp:ADDRESS:PORT."
            )
        self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            self._socket.bind((address.strip("[]"), int(port)))
        except OSError as error:
            raise ReadError(f"udp:{place}: cannot be listened to ({error.strerror}); name another port.") from error
        if _TIMESTAMP is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        self._socket.settimeout(_WAIT_S)
        self.port: int = self._socket.getsockname()[1]
        self.name = f"udp-{self.port}"

    def pieces(self) -> Iterator[Piece | None]:
        with self._socket:
            while True:
                try:
                    data, notes, _, _ = self._socket.recvmsg(_LONGEST_DATAGRAM, 64)
                except TimeoutError:
                    yield None
                except OSError as error:
                    raise ReadError(
                        f"{self.name}: cannot be read any more ({error.strerror}); listen again."
                    ) from error
                else:
                    yield Piece(data, _arrival(notes))


def _arrival(notes: list[tuple[int, int, bytes]]) -> float:
    """When the kernel received a datagram, in seconds since 1970; now where it did not note it."""
    for level, kind, data in notes:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMP and len(data) >= 16:
            seconds, nanoseconds = struct.unpack_from("=qq", data)
            return float(seconds + nanoseconds * 1e-9)
    return time.time()


class Serial:
    """A serial port."""

    is_datagram, loses = False, True

    def __init__(self, place: str) -> None:
        device, _, baud = place.rpartition(":")
        if not device or not baud.isdecimal():
            device, baud = place, str(BAUD)
        self.name, self._device, self._baud = f"serial-{Path(device).name}", device, int(baud)
        try:
            import serial
        except ImportError as error:
            raise MissingExtraError(
                f"serial:{place}: a serial port needs pyserial: pip install 'foundation[serial]', or pipe what another "
                "program reads from it into 'wfm listen -'."
            ) from error
        try:
            self._port = serial.Serial(device, self._baud, timeout=_WAIT_S)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise ReadError(
                f"serial:{place}: cannot be opened ({error}); check the name and the permissions."
            ) from error

    def pieces(self) -> Iterator[Piece | None]:
        with self._port:
            while True:
                try:
                    data = self._port.read(max(1, self._port.in_waiting))
                except OSError as error:
                    raise ReadError(
                        f"serial:{self._device}: is gone ({error}); plug it in and listen again."
                    ) from error
                yield Piece(data, time.time()) if data else None


class Pump:
    """A source that a thread reads.

    Attributes:
        lost: pieces that came while the queue was full.
    """

    def __init__(self, source: Source) -> None:
        self.lost = 0
        self._source = source
        self._queue: queue.Queue[Piece] = queue.Queue(_PIECES)
        self._stop, self._ended = threading.Event(), threading.Event()
        self._error: WfmError | None = None
        threading.Thread(target=self._run, name=f"read {source.name}", daemon=True).start()

    def take(self, wait_s: float) -> list[Piece] | None:
        """What has arrived, some at once, after at most this time; None: the source has ended.

        Raises:
            ReadError: it cannot be read any more.
        """
        ended = self._ended.is_set()  # before the queue is found empty: the last piece comes before the end
        try:
            found = [self._queue.get_nowait() if ended else self._queue.get(timeout=wait_s)]
        except queue.Empty:
            if self._error is not None and ended:
                raise self._error from None
            return None if ended else []
        if self._queue.empty() and not ended:
            time.sleep(_GATHER_S)
        with suppress(queue.Empty):
            while len(found) < _TOGETHER:
                found.append(self._queue.get_nowait())
        return found

    def close(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        try:
            put: Callable[[Piece], None] = self._offer if self._source.loses else self._wait
            for piece in self._source.pieces():
                if self._stop.is_set():
                    break
                if piece is not None:
                    put(piece)
        except WfmError as error:
            self._error = error
        except OSError as error:
            self._error = ReadError(f"{self._source.name}: cannot be read any more ({error.strerror}); listen again.")
        finally:
            self._ended.set()

    def _offer(self, piece: Piece) -> None:
        try:
            self._queue.put_nowait(piece)
        except queue.Full:
            self.lost += 1

    def _wait(self, piece: Piece) -> None:
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._queue.put(piece, timeout=_WAIT_S)
                return
