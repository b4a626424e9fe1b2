"""`wfm predict`: a table, files that hold the same, a page, and mistakes in one sentence."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from helpers.intel5300 import intel_record, random_csi, written

from foundation.cli import main


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Three seconds of an Intel 5300 at 100 packets a second."""
    return written(tmp_path / "a.dat", *(intel_record(random_csi(i, rx=1), 10_000 * i) for i in range(300)))


def test_files_hold_what_is_printed(
    activity: Path, capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = {name: tmp_path / f"out.{name}" for name in ("json", "csv", "html")}
    options = [word for name, path in out.items() for word in (f"--{name}", str(path))]
    assert main(["predict", str(capture), "--adapter", str(activity), "--hop", "0.64", *options]) == 0
    printed = capsys.readouterr().out
    found = json.loads(out["json"].read_text())
    (answer,) = found["captures"]
    windows = answer["windows"]
    assert (found["label"], answer["capture"], len(windows)) == ("activity", str(capture), 3)
    rows = list(csv.DictReader(io.StringIO(out["csv"].read_text())))
    for window, row in zip(windows, rows, strict=True):
        assert (row["label"], row["capture"]) == (window["label"], str(capture))
        assert float(row["start_s"]) == window["start_s"]
        for name, chance in window["probabilities"].items():
            assert float(row[f"probability {name}"]) == chance
        assert sum(window["probabilities"].values()) == pytest.approx(1)
        assert f"{window['start_s']:.2f}" in printed
        assert window["label"] in printed
    page = out["html"].read_text()
    assert "data:image/png;base64," in page
    assert "3 windows" in page


def test_shards_are_captures_too(
    position: Path, shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(shards_dir), "--adapter", str(position), "--html", str(tmp_path / "a.html")]) == 0
    assert "400 windows, values from" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["CAPTURE", "--adapter", "none/here/x"], "none/here/x: no such folder of an adapter"),
        (["missing.dat", "--adapter", "ADAPTER"], "missing.dat: no such file or folder"),
        (["CAPTURE", "--adapter", "ADAPTER", "--hop", "0"], "the hop between windows is 0 s"),
        (["SHORT", "--adapter", "ADAPTER"], "fewer than one window of 128 samples (1.28 s at 100 a second)"),
        (["TEXT", "--adapter", "ADAPTER"], "unknown format"),
        (["carrier_hz=5e9", "--adapter", "ADAPTER"], "is an option of a reader"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str], said: str, activity: Path, capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = written(tmp_path / "short.dat", *(intel_record(random_csi(i, rx=1), 10_000 * i) for i in range(100)))
    (tmp_path / "text.txt").write_text("no capture\n" * 20)
    known = {"ADAPTER": activity, "CAPTURE": capture, "SHORT": short, "TEXT": tmp_path / "text.txt"}
    assert main(["predict", *(str(known.get(word, word)) for word in words)]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


def test_one_capture_without_an_answer_does_not_lose_the_others(
    activity: Path, capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text("no capture\n" * 20)
    out = tmp_path / "out.json"
    words = [str(tmp_path / "text.txt"), str(capture), "--adapter", str(activity), "--json", str(out)]
    assert main(["predict", *words]) == 2
    assert "1 of 2 captures have no answer; the first: " in capsys.readouterr().err
    first, second = json.loads(out.read_text())["captures"]
    assert "unknown format" in first["problem"]
    assert (len(first["windows"]), len(second["windows"])) == (0, 2)
