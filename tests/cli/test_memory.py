"""`wfm adapters remember` and `forget`, and `wfm predict` with a memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers.intel5300 import intel_record, random_csi, written

from foundation.cli import main


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Seven seconds of an Intel 5300 at 100 packets a second: five windows."""
    return written(tmp_path / "a.dat", *(intel_record(random_csi(i, rx=1), 10_000 * i) for i in range(700)))


@pytest.fixture
def adapter(activity: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(activity, tmp_path / "adapter"))


def test_what_is_remembered_is_predicted_shown_and_forgotten(
    adapter: Path, capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    assert main(["adapters", "remember", str(adapter), str(capture), "--label", "noise", "--false-alarms", "0.1"]) == 0
    said = capsys.readouterr().out
    assert "5 windows remembered as 'noise'; in all 5 windows (noise 5; 17 % false alarms)." in said
    assert main(["predict", str(capture), "--adapter", str(adapter), "--json", str(out), "--html", str(page)]) == 0
    assert f"noise, {capture} at 0.00 s" in capsys.readouterr().out
    found = json.loads(out.read_text())
    windows = found["captures"][0]["windows"]
    assert [each["label"] for each in windows] == ["noise"] * 5
    nearest = windows[1]["nearest"][0]
    assert (nearest["recording"], nearest["start_s"]) == (str(capture), windows[1]["start_s"])
    assert found["memory"]["examples"] == {"noise": 5}
    assert "nearest example" in page.read_text()
    assert main(["adapters", "show", str(adapter)]) == 0
    assert "remembers: 5 windows (noise 5" in capsys.readouterr().out
    assert main(["adapters", "forget", str(adapter), "--recording", str(capture)]) == 0
    assert "5 windows forgotten; nothing is remembered." in capsys.readouterr().out
    assert not (adapter / "memory.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["remember", "ADAPTER", "missing.dat", "--label", "a"], "missing.dat: no such file or folder"),
        (["remember", "none/here", "CAPTURE", "--label", "a"], "none/here: no such folder of an adapter"),
        (["remember", "ADAPTER", "CAPTURE", "TEXT", "--label", "a"], "unknown format"),
        (["remember", "ADAPTER", "CAPTURE", "--label", "a", "--false-alarms", "2"], "expected one between 0 and 1"),
        (["forget", "ADAPTER"], "name what to remove, by --label, --recording or both"),
        (["forget", "ADAPTER", "--label", "a"], "nothing is remembered"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(
    words: list[str], said: str, adapter: Path, capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text("no capture\n" * 20)
    known = {"ADAPTER": adapter, "CAPTURE": capture, "TEXT": tmp_path / "text.txt"}
    assert main(["adapters", *(str(known.get(word, word)) for word in words)]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (adapter / "memory.safetensors").exists()
    assert not Path("none").exists()
