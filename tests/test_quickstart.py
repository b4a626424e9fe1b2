"""The quickstart at toy size: a whole report, and a repeated call that changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers.tiny import environment, snapshot, wfm

from foundation.cli import main
from foundation.quickstart import FULL, PROBE_CORE_S, TINY, announcement, probe


@pytest.mark.slow
def test_a_tiny_quickstart_is_complete_and_a_second_call_changes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "quick"
    done = wfm("quickstart", "--tiny", "--out", out, cwd=tmp_path, env=environment(COLUMNS="80"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("This takes")
    assert max(len(line) for line in done.stdout.splitlines() if "smoke run" not in line and "step " not in line) <= 140
    text = (out / "report.html").read_text()
    for expected in ("SMOKE RUN", "chance is", "Five words", "Each row is a true class", "wfm finetune"):
        assert expected in text
    assert text.index("<figure>") < text.index("All numbers")
    assert set(json.loads((out / "durations.json").read_text())) == {
        *("build shards", "pretrain", "fine-tune", "evaluate", "report")
    }
    before = snapshot(out)
    again = wfm("quickstart", "--tiny", "--out", out, cwd=tmp_path)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "all 5 steps are done" in again.stdout
    assert snapshot(out) == before


def test_a_device_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert main(["quickstart", "--tiny", "--out", str(tmp_path / "quick"), "--device", "mps"]) == 2
    assert "device: mps is not there" in capsys.readouterr().err
    assert not (tmp_path / "quick").exists()


def test_the_expected_time_follows_the_speed_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for slower in (1, 3):
        monkeypatch.setattr("foundation.quickstart.probe", lambda slower=slower: (slower * PROBE_CORE_S / 2, 0.99))
        assert f"about {slower * FULL.core_s / 120:.0f} min on this machine." in announcement(FULL)
    monkeypatch.setattr("foundation.quickstart.probe", lambda: (PROBE_CORE_S / 2, 0.2))
    assert "less than a minute on this machine; other programs" in announcement(TINY)


def test_the_probe_leaves_the_threads_as_they_were() -> None:
    threads = torch.get_num_threads()
    seconds, share = probe()
    assert torch.get_num_threads() == threads
    assert seconds > 0
    assert 0 < share < 1.5
