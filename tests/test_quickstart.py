"""The quickstart at toy size: a whole report, and a repeated call that changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.tiny import environment, snapshot, wfm

from foundation.quickstart import FULL, TINY, announcement


@pytest.mark.slow
def test_a_tiny_quickstart_is_complete_and_a_second_call_changes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "quick"
    done = wfm("quickstart", "--tiny", "--out", out, cwd=tmp_path, env=environment(COLUMNS="80"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("This takes")
    assert max(len(line) for line in done.stdout.splitlines() if "smoke run" not in line and "step " not in line) <= 140
    text = (out / "report.html").read_text()
    for expected in ("SMOKE RUN", "chance is", "Five words", "Which activity was taken for which", "wfm finetune"):
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


def test_the_expected_time_follows_the_speed_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foundation.quickstart.REFERENCE_S", 1.0)
    monkeypatch.setattr("foundation.quickstart.matmul_s", lambda: 1.0)
    assert f"about {FULL.expected_s / 60:.0f} min here." in announcement(FULL)
    assert "less than a minute" in announcement(TINY)
    monkeypatch.setattr("foundation.quickstart.matmul_s", lambda: 3.0)
    assert f"about {FULL.expected_s / 20:.0f} min here (measured now: 3.0 times" in announcement(FULL)
