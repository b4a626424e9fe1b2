"""The live page: what it is told, what it refuses, and how it looks in a real browser."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.esp32 import line
from helpers.live import Replay

import foundation
from foundation.errors import ReadError
from foundation.predict.board import Board
from foundation.predict.listen import Answer, Began, Counted, Listener, Missing
from foundation.predict.prediction import Prediction
from foundation.predict.serve import FILES, Server
from foundation.readers.live import Part, Piece
from foundation.signal import Link, Signal


def _part(level: float, start_s: float = 0.0, recording: int = 0, stream: str = "a", count: int = 100) -> Part:
    """100 packets a second of two links x 128 subcarriers, of which the lower half is 20 dB stronger."""
    values = np.full((count, 2, 128), level, np.complex64)
    values[:, :, :64] *= 10
    signal = Signal(
        values=values,
        time_s=start_s + np.arange(count) / 100,
        links=(Link(), Link(rx=1)),
        kind="csi",
        carrier_hz=5e9,
        frequency_hz=np.arange(128.0),
    )
    return Part(stream, recording, stream, signal, np.zeros(count))


def test_the_picture_is_the_level_of_all_links_in_rows_and_columns() -> None:
    board = Board()
    board.watch(_part(1.0))
    state = board.state(0, 0)
    assert (state["recording"], state["transmitter"]) == (0, "a")
    assert [time_s for _, time_s, _ in state["rows"]] == pytest.approx(np.arange(19) * 0.05)
    assert state["rows"][3][2] == [20.0] * 32 + [0.0] * 32
    newest = state["rows"][-1][0]
    board.watch(_part(1.0, 1.0))
    assert board.state(newest, 0)["rows"][0][0] == newest + 1, "what the page does not have yet"


def test_lost_entries_and_silence_have_a_place() -> None:
    board, part = Board(), _part(0.0)
    valid = np.ones(part.signal.values.shape, bool)
    valid[:, :, :2] = False
    board.watch(Part("a", 0, "a", part.signal.with_(valid=valid), part.arrived_s))
    levels = board.state(0, 0)["rows"][0][2]
    assert levels[0] is None
    assert levels[1] == -200.0


def test_a_restart_and_the_answers_of_what_is_shown() -> None:
    board = Board()
    board.watch(_part(1.0))
    board.watch(_part(1.0, recording=7, stream="b"))  # another sender, while the first is not quiet
    answer = Answer(0, "a", Prediction(0, "", 0.0, 1.28, "walk", 0.9, {"walk": 0.9, "still": 0.1}), 0.01)
    board.tell(answer)
    board.tell(Answer(7, "b", answer.prediction, 0.01))
    board.tell(Missing(0, "a", 1.28, 2.56, 1))
    board.tell(Counted(100, 1, 1, 3, 0, "garbled"))
    state = board.state(0, 0)
    assert [(number, fields["label"], fields["latency_s"]) for number, fields in state["answers"]] == [
        (1, "walk", 0.01)
    ]
    assert [note["event"] for note in state["notes"]] == ["missing"]
    board.watch(_part(1.0, recording=1))
    board.tell(Began(1, "a", 2, 128, False))
    state = board.state(0, 0)
    assert (state["recording"], len(state["rows"]), state["answers"]) == (1, 19, [])
    json.dumps(state, allow_nan=False)


def _walking(rate_hz: float = 100.0) -> Iterator[Piece]:
    """Somebody who stands still and walks in turn, a third of a second a piece, and then nothing more."""
    frequencies = np.arange(-32, 32)
    for start in range(0, 2000, 33):
        text = ""
        for k in range(start, start + 33):
            moving = 1.0 if k % 700 > 300 else 0.05
            delay = 3 + moving * np.sin(2 * np.pi * 1.3 * k / rate_hz)
            field = 30 + 25 * np.exp(2j * np.pi * frequencies / 64 * delay) * np.exp(2j * np.pi * moving * k / 29)
            pairs = np.stack([field.imag, field.real], axis=1)
            buffer = np.fft.ifftshift(pairs, axes=0).round().astype(int).ravel()
            text += line(buffer, round(1e6 * k / rate_hz) + (3_000_000 if k > 1200 else 0))
        yield Piece(text.encode(), time.time())
        yield Piece(b"CSI_DATA,garbled\n" if start % 330 == 0 else b"", time.time())
    while True:
        time.sleep(0.1)
        yield Piece(b"", time.time())


@pytest.fixture(scope="module")
def served(activity: Path) -> Iterator[str]:
    """The address of a page; its server ends with the tests."""
    board = Board()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = foundation.load(adapter=activity)
        listener = Listener(model, Replay("walk.csv", _walking()), watch=board.watch)
        found: list[Server] = []
        about = model.about() | {"adapter": "runs/finetune/activity", "source": "walk.csv"}
        server = Server(listener, board, about)
        threading.Thread(target=server.run, args=("127.0.0.1", 0, found.append), daemon=True).start()
        end = time.monotonic() + 60
        while not found or listener.counted().windows < 10:
            assert time.monotonic() < end
            time.sleep(0.05)
        yield found[0].address


def _get(address: str, **headers: str) -> tuple[int, bytes, HTTPMessage]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def test_the_page_loads_nothing_from_elsewhere(served: str) -> None:
    for name in ("", "page.js", "page.css"):
        status, body, headers = _get(served + name)
        assert status == 200
        assert b"http://" not in body
        assert b"https://" not in body
        assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert sorted(path.name for path in FILES.iterdir()) == ["page.css", "page.html", "page.js"]


def test_the_state_is_told_in_parts(served: str) -> None:
    first: dict[str, Any] = json.loads(_get(f"{served}state")[1])
    assert first["rows"] and first["answers"]
    assert set(first["answers"][-1][1]) >= {"label", "probabilities", "start_s", "latency_s", "outside"}
    later = json.loads(_get(f"{served}state?row={first['rows'][-1][0]}&answer={first['answers'][-1][0]}")[1])
    assert len(later["rows"]) < len(first["rows"])
    assert json.loads(_get(f"{served}about")[1])["label"] == "activity"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("state?row=x", {}, 400),
        ("../../etc/passwd", {}, 404),
        ("page.html", {}, 404),
        ("", {"Host": "evil.example:8000"}, 403),
    ],
)
def test_what_is_not_served(served: str, path: str, headers: dict[str, str], status: int) -> None:
    assert _get(served + path, **headers)[0] == status


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        class Quiet:
            def events(self) -> Iterator[Any]:
                return iter(())

        with pytest.raises(ReadError, match=r"cannot be served .*; name another --port or --host"):
            Server(Quiet(), Board(), {}).run("127.0.0.1", taken.getsockname()[1])  # type: ignore[arg-type]


def test_a_browser_shows_it(served: str, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    common = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    common += ["--window-size=1280,860", "--virtual-time-budget=4000", "--hide-scrollbars"]
    picture = tmp_path / "page.png"
    done = subprocess.run(
        [*common, f"--screenshot={picture}", "--dump-dom", served], capture_output=True, text=True, timeout=300
    )
    assert "Live: activity" in done.stdout, done.stderr[-2000:]
    assert 'class="bar best"' in done.stdout
    assert "too many packets are missing" in done.stdout
    assert "receiving 1a:00:00:00:00:00" in done.stdout
