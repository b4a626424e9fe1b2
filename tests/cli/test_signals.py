"""Ctrl-C and SIGTERM end every command with its status and one sentence, and nothing half done under its final name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny import environment, pretrain_recipe, write_recipe

from foundation.cli import main
from foundation.study.judge import Judge

pytestmark = pytest.mark.slow
SIGNALS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


def _stopped(words: list[str], number: signal.Signals, begun: str | Path) -> None:
    """Start `wfm WORDS` and send the signal a moment after a line with `begun`, or after that file or folder appears.

    Ctrl-C of a terminal reaches all processes of a command, SIGTERM of a scheduler its first.
    """
    command = [sys.executable, "-m", "foundation.cli", *words]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)  # test processes may ignore it, and pass that on
    child = subprocess.Popen(command, env=environment(PYTHONUNBUFFERED="1"), start_new_session=True, **pipes)
    signal.signal(signal.SIGINT, outside)
    watchdog = threading.Timer(120, child.kill)
    watchdog.start()
    assert child.stdout is not None
    said = ""
    while isinstance(begun, Path) and not begun.exists() and child.poll() is None:
        time.sleep(0.05)
    while isinstance(begun, str) and begun not in said and (line := child.stdout.readline()):
        said += line
    time.sleep(0.3)
    (os.killpg if number == signal.SIGINT else os.kill)(child.pid, number)
    said += child.communicate()[0]
    watchdog.cancel()
    status, word = SIGNALS[number]
    assert child.returncode == status, said
    assert "Traceback" not in said
    (sentence,) = (line for line in said.splitlines() if line.startswith("wfm: ") and "warning" not in line)
    assert sentence == f"wfm: {word}; run the same command again to continue."


def _unfinished(folder: Path) -> list[str]:
    """Locks and files in the making, but the pieces of a build, which goes on from them."""
    left = [path for path in folder.rglob("*") if path.suffix in (".lock", ".partial")]
    return [str(path) for path in left if ".pieces" not in path.parts]


@pytest.fixture
def task(shards_dir: Path, trained: Path) -> dict[str, Any]:
    task = {"shards": str(shards_dir), "label": "activity", "split": "room"}
    return {"name": "tiny", "checkpoint": str(trained / "model"), "task": task}


def test_finetuning_that_is_stopped_leaves_nothing_and_runs_again(task: dict[str, Any], tmp_path: Path) -> None:
    fields = {**task, "out": str(tmp_path / "adapter"), "tune": {"steps": 30, "pooling": "moments"}}
    words = ["finetune", "--config", str(write_recipe(tmp_path / "recipe.yaml", fields))]
    for number in SIGNALS:
        _stopped(words, number, "CPU thread")
        assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]
    assert main(words) == 0


def test_an_evaluation_that_is_stopped_goes_on_from_its_fits(task: dict[str, Any], tmp_path: Path) -> None:
    fits = {
        "modes": ["lora"],
        "fractions": [0.1, 1.0],
        "seeds": [0],
        "workers": 1,
        "tune": {"steps": 20, "pooling": "moments"},
    }
    fields = {**task, **fits, "set": "tiny", "cache": str(tmp_path / "cache")}
    config, rows = write_recipe(tmp_path / "recipe.yaml", fields), tmp_path / "rows.json"
    words = ["evaluate", "--config", str(config), "--json", str(rows)]
    for number in SIGNALS:
        _stopped(words, number, "CPU thread")
        assert not rows.exists()
        assert not _unfinished(tmp_path)
    assert main(words) == 0
    assert rows.is_file()


def test_a_quickstart_that_is_stopped_keeps_whole_steps(tmp_path: Path) -> None:
    _stopped(["quickstart", "--tiny", "--out", str(tmp_path / "quick")], signal.SIGTERM, "1/5")
    assert not _unfinished(tmp_path)
    assert not (tmp_path / "quick" / "report.html").exists()


def test_a_build_that_is_stopped_has_no_manifest(tmp_path: Path) -> None:
    for number in SIGNALS:
        out = tmp_path / number.name
        words = ["shards", "build", "simulated", "--count", "6000", "--workers", "2", "--out", str(out)]
        _stopped(words, number, out / ".pieces")
        assert not _unfinished(tmp_path)
        assert not (out / "manifest.json").exists()


def test_a_study_that_only_measures_hears_a_signal(
    shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Noted for the end of a step of pretraining, it would have no effect."""
    base = write_recipe(
        tmp_path / "base.yaml", pretrain_recipe(shards_dir, tmp_path / "x", steps=1, picture_every=None)
    )
    held_out = {"shards": str(shards_dir), "split": "room", "part": "test", "samples": 16}
    fields = {"name": "tiny", "pretrain": str(base), "variants": {"one": []}, "seeds": [3], "held_out": held_out}
    config = write_recipe(tmp_path / "study.yaml", fields | {"cache": str(tmp_path / "runs")})
    monkeypatch.setattr(Judge, "measure", lambda judge, run: signal.raise_signal(signal.SIGTERM))
    assert main(["study", str(config)]) == 143
    assert capsys.readouterr().err.endswith("wfm: terminated; run the same command again to continue.\n")
