"""The line that says how far a run is: over the whole run, live on a terminal, plain in a file."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tiny import cut_off_at, environment, pretrain_recipe, write_recipe

from foundation.train.callbacks.progress import Pace, Smoothed, numbers
from foundation.train.pretrain import pretrain

NUMBERS = r"0:00:00 left, loss [\d.]+ \(smoothed\), [\d,.]+ samples/s, [\d,]+ tokens/s, MFU [\d.]+%, [\d.]+ GB"
FEW = "recording/test"  # 56 samples: several epochs


def test_the_time_left_is_that_of_all_steps_to_come_at_the_last_pace() -> None:
    pace = Pace(30, now=1000.0)
    assert pace.left_s(100) == 0, "nothing is known yet"
    pace.reach(40, 1020.0)
    assert pace.left_s(100) == pytest.approx(60 * 2)
    for i in range(30):  # twice as fast from here on: the slow start is forgotten
        pace.reach(41 + i, 1021.0 + i)
    assert pace.left_s(100) == pytest.approx(30 * 1)


def test_only_what_is_known_is_shown() -> None:
    assert numbers(90061, {"loss": 1.23456, "mse": 9}) == "1 day, 1:01:01 left, loss 1.23 (smoothed)"


def test_the_loss_is_averaged_over_logged_steps_from_the_first_on() -> None:
    loss = Smoothed()
    assert loss.of({"loss": 4.0, "mfu": 0.5}) == {"loss": pytest.approx(4.0), "mfu": 0.5}
    assert loss.of({"loss": 2.0})["loss"] == pytest.approx((0.9 * 4.0 + 2.0) / 1.9)
    for _ in range(200):
        latest = loss.of({"loss": 1.0})
    assert latest["loss"] == pytest.approx(1.0)
    assert loss.of({"mfu": 0.5}) == {"mfu": 0.5}, "nothing is logged yet"


def test_a_log_file_gets_plain_lines(shards_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pretrain(pretrain_recipe(shards_dir, tmp_path / "run", FEW, steps=21, log_every=4))
    text = capfd.readouterr().out
    assert "\r" not in text.replace("\r\n", "\n")
    lines = [line for line in text.splitlines() if line.startswith("step ")]
    assert lines[0].startswith("step 4 of 21 (19.0%): ")
    assert re.fullmatch(r"step 21 of 21 \(100\.0%\): " + NUMBERS, lines[-1]), lines[-1]
    assert len(lines) == 2, "seconds apart, not every logged step"


def test_a_terminal_gets_one_live_line(shards_dir: Path, tmp_path: Path) -> None:
    config = write_recipe(tmp_path / "tiny.yaml", pretrain_recipe(shards_dir, tmp_path / "run", FEW, steps=9))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "foundation.cli", "pretrain", "--config", str(config)]
    env = environment(COLUMNS="150", TERM="xterm")
    with subprocess.Popen(command, env=env, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        seen = b""
        while chunk := _read(ours):
            seen += chunk
        process.wait(120)
    os.close(ours)
    assert process.returncode == 0
    frames = re.sub(rb"\x1b\[[\d;?]*[A-Za-z]", b"", seen).decode().replace("\n", "\r").split("\r")
    frames = [frame.strip() for frame in frames if "step" in frame]
    assert re.fullmatch(r"step 9 of 9 \S+ " + NUMBERS, frames[-1]), frames[-1]
    assert len(frames) > 2
    assert len({frame[:6] for frame in frames}) > 1


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux, when the other side is closed
        return b""


def test_a_resumed_run_counts_on(shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", FEW, steps=9, checkpoint_every=4)
    cut_off_at(6, recipe)
    capsys.readouterr()
    pretrain(recipe)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert [line.partition(" (")[0] for line in lines] == ["step 5 of 9", "step 9 of 9"]
