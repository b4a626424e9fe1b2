"""Progress in a log file: plain lines, now and then, with the time left."""

from __future__ import annotations

import pytest

from foundation import progress
from foundation.progress import StepProgress


def test_without_a_terminal_there_is_a_plain_line_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with StepProgress() as bar:
        task = bar.add_task("evaluate [/x]", total=20)
        for _ in range(20):
            now += 6.0
            bar.advance(task)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0] == "evaluate [/x]: 2 of 20, 0:01:48 left"
    assert lines[-1] == "evaluate [/x]: 20 of 20, 0:00:00 left"


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_S", 0.0)
    with StepProgress(quiet=True) as bar:
        bar.advance(bar.add_task("fit", total=2))
    assert capsys.readouterr().err == ""
