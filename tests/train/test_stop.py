"""Ctrl-C and SIGTERM: the step is finished, its checkpoint saved, and the same command goes on from there."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from helpers.tiny import environment, pretrain_recipe, write_recipe
from safetensors.torch import load_file

from foundation.cli import main
from foundation.errors import WfmError
from foundation.files import exclusive
from foundation.train.callbacks import stop_signals
from foundation.train.pretrain import pretrain


def _stopped(config: Path, number: signal.Signals) -> tuple[int, str, str]:
    """Start `wfm pretrain`, send the signal after its first line about a step, and wait for its end."""
    command = [sys.executable, "-m", "foundation.cli", "pretrain", "--config", str(config)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(PYTHONUNBUFFERED="1")
    )
    assert child.stdout is not None
    watchdog = threading.Timer(120, child.kill)
    watchdog.start()
    said = ""
    while not re.search(r"^step \d", said, re.M) and (line := child.stdout.readline()):
        said += line
    child.send_signal(number)
    out, err = child.communicate()
    watchdog.cancel()
    return child.returncode, said + out, err


@pytest.mark.slow
def test_a_stopped_run_saves_its_step_says_so_and_goes_on(shards_dir: Path, tmp_path: Path) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", steps=100_000, checkpoint_every=100_000, picture_every=None)
    config = write_recipe(tmp_path / "tiny.yaml", recipe)
    begun = 0
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        returned, out, err = _stopped(config, number)
        assert returned == status, err
        assert f"{recipe.out}: 1 CPU thread (OMP_NUM_THREADS)." in out
        assert not begun or f"resuming from step {begun} of 100000" in out
        found = re.search(
            r"^wfm: .*: stopped at step (\d+) of 100000, its checkpoint is saved; run the same", err, re.M
        )
        assert found, err
        assert int(found[1]) > begun
        begun = int(found[1])
        assert (recipe.out / "checkpoints" / f"step={begun}.ckpt").is_file()
    assert not (recipe.out / "running.json").exists()
    assert not (recipe.out / "model").exists()


def test_a_second_signal_ends_at_once_and_handlers_are_put_back() -> None:
    outside = signal.signal(signal.SIGINT, before := signal.default_int_handler)  # test processes may ignore it
    assert stop_signals.listen()
    try:
        signal.raise_signal(signal.SIGINT)
        assert stop_signals.told_to_stop() == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        stop_signals.release()
    assert stop_signals.told_to_stop() == 0
    assert signal.signal(signal.SIGINT, outside) is before


def test_a_command_that_trains_nothing_puts_handlers_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert main(["pretrain", "--config", "recipes/quickstart.yaml", "--dry-run"]) == 0
    assert "name: quickstart" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_that_another_process_trains_is_left_alone(shards_dir: Path, tmp_path: Path) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run")
    with exclusive(recipe.out), pytest.raises(WfmError, match="is writing it"):
        pretrain(recipe)
    assert not recipe.out.exists()


def test_a_copy_of_a_run_at_its_peak_comes_down_sooner(
    shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(run: str, steps: int, decay_share: float = 0.25) -> int:
        fields = {"schedule": "wsd", "decay_share": decay_share, "checkpoint_every": 1, "picture_every": None}
        recipe = pretrain_recipe(shards_dir, tmp_path / run, steps=steps, **fields)
        return main(["pretrain", "--config", str(write_recipe(tmp_path / "tiny.yaml", recipe))])

    with monkeypatch.context() as told:
        told.setattr("foundation.train.callbacks.stop.told_to_stop", lambda: signal.SIGTERM)
        assert command("run", 80) == 143
    shutil.copytree(tmp_path / "run", tmp_path / "short")
    assert command("short", 2, decay_share=1.0) == 2  # it would have come down from the first step
    assert "train.decay_share: 0.25 there, 1.0 here; train.steps: 80 there, 2 here" in capsys.readouterr().err
    assert command("short", 4, decay_share=0.5) == 0
    assert "goes on to step 4 in place of 80" in capsys.readouterr().out
    assert command("whole", 4, decay_share=0.5) == 0
    weights = [load_file(tmp_path / run / "model" / "model.safetensors") for run in ("short", "whole")]
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())


def test_an_unfinished_run_may_be_trained_longer_and_a_finished_one_may_not(
    shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(steps: int) -> int:
        recipe = pretrain_recipe(shards_dir, tmp_path / "run", steps=steps, checkpoint_every=1, picture_every=None)
        return main(["pretrain", "--config", str(write_recipe(tmp_path / "tiny.yaml", recipe))])

    with monkeypatch.context() as told:
        told.setattr("foundation.train.callbacks.stop.told_to_stop", lambda: signal.SIGTERM)
        assert command(3) == 143
    assert command(2) == 2
    assert "train.steps: 3 there, 2 here" in capsys.readouterr().err
    assert command(5) == 0
    assert "goes on to step 5 in place of 3" in capsys.readouterr().out
    assert command(9) == 2
    assert "is finished: its learning rate has come down over 5 steps" in capsys.readouterr().err
