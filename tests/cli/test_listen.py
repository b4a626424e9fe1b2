"""`wfm listen`: lines as windows come, JSON, Ctrl-C, and mistakes in one sentence."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.esp32 import line, random_buffer

from foundation.cli import listen, main
from foundation.predict.listen import Answer, Event


def _capture(count: int) -> bytes:
    return "".join(line(random_buffer(k), 10_000 * k) for k in range(count)).encode()


def test_standard_input_gives_the_windows_of_the_finished_file(
    activity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _capture(300) + b"CSI_DATA,garbled\n"
    (tmp_path / "a.csv").write_bytes(data)
    words = ["--adapter", str(activity), "--hop", "0.64"]
    assert main(["predict", str(tmp_path / "a.csv"), *words, "--json", str(tmp_path / "out.json")]) == 0
    capsys.readouterr()
    read, write = os.pipe()
    threading.Thread(
        target=lambda: (os.write(write, data[:40_000]), os.write(write, data[40_000:]), os.close(write))
    ).start()
    monkeypatch.setattr(sys, "stdin", os.fdopen(read))
    assert main(["listen", "-", "--json", *words]) == 0
    events = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    found = [event for event in events if event["event"] == "answer"]
    (expected,) = json.loads((tmp_path / "out.json").read_text())["captures"]
    assert [(one["start_s"], one["label"]) for one in found] == [
        (one["start_s"], one["label"]) for one in expected["windows"]
    ]
    assert all(0 <= one["latency_s"] < 60 and one["probabilities"] and one["transmitter"] for one in found)
    assert [event["event"] for event in events if event["event"] != "answer"] == ["began", "counted"]
    assert (events[-1]["packets"], events[-1]["bad"]) == (300, 1)


def test_a_growing_file_is_followed_until_ctrl_c(
    activity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, data = tmp_path / "a.csv", _capture(300)
    path.write_bytes(data[:1000])
    plain, seen = listen._line, []

    def until_two(event: Event) -> None:
        plain(event)
        seen.append(event)
        if isinstance(event, Answer) and sum(isinstance(each, Answer) for each in seen) == 2:
            raise KeyboardInterrupt

    def append() -> None:
        for at in range(1000, len(data), 20_000):
            time.sleep(0.02)
            with path.open("ab") as file:
                file.write(data[at : at + 20_000])

    monkeypatch.setattr(listen, "_line", until_two)
    threading.Thread(target=append).start()
    assert main(["listen", str(path), "--adapter", str(activity)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "0.00 to      1.28 s" in out
    assert " ms  1a:00:00:00:00:00" in out
    assert "recording 0 of 1a:00:00:00:00:00 begins: 1 links x 56 responses." in err
    assert "packets, 2 windows predicted, 0 with gaps." in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.pcap", "--adapter", "x"], "none.pcap: there is no such file; give one that grows"),
        (["udp:port", "--adapter", "x"], "'port' is no port"),
        (["SOME", "--adapter", "none/here/x"], "none/here/x: no such folder of an adapter"),
        (["SOME", "--adapter", "ADAPTER", "--hop", "0"], "the hop between windows is 0 s"),
        (["SOME", "--adapter", "ADAPTER", "--format", "wav_iq"], "no wav_iq can be read while it grows"),
        (["SOME", "--adapter", "ADAPTER", "--format", "esp32_csv", "chip=1"], "has no option 'chip'"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str], said: str, activity: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "some.csv").write_bytes(_capture(10))
    known = {"ADAPTER": activity, "SOME": tmp_path / "some.csv"}
    assert main(["listen", *(str(known.get(word, word)) for word in words)]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
