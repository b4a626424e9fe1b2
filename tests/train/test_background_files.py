"""Checkpoints written in the background: what they hold, whom they hold up, and who hears of a failure."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny import cut_off_at, pretrain_recipe
from helpers.weights import same_weights, weights_of

from foundation.checkpoints.integrity import newest
from foundation.errors import CheckpointError
from foundation.train.background_files import BackgroundFiles
from foundation.train.pretrain import pretrain

SAVE = torch.save


class Gate:
    """A disk that writes nothing until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened, self.writing = threading.Event(), 0
        monkeypatch.setattr(torch, "save", self.save)

    def save(self, *args: Any) -> None:
        self.writing += 1
        assert self.opened.wait(60)
        SAVE(*args)


def _loaded(path: Path) -> list[float]:
    return list(torch.load(path, weights_only=True)["weights"].tolist())


def test_a_checkpoint_holds_the_state_of_its_step_and_the_next_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, pruned = Gate(monkeypatch), []
    files = BackgroundFiles(lambda: pruned.append(sorted(path.name for path in tmp_path.iterdir())))
    weights = torch.ones(3, requires_grad=True)
    files.save_checkpoint({"weights": weights, "step": 1}, tmp_path / "a.ckpt")
    with torch.no_grad():
        weights.mul_(2)  # the training goes on
    files.look()
    assert not (tmp_path / "a.ckpt").exists()
    second = threading.Thread(target=files.save_checkpoint, args=({"weights": weights}, tmp_path / "b.ckpt"))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    assert gate.writing == 1
    gate.opened.set()
    second.join()
    files.finish()
    assert (_loaded(tmp_path / "a.ckpt"), _loaded(tmp_path / "b.ckpt")) == ([1.0] * 3, [2.0] * 3)
    assert pruned == [["a.ckpt"], ["a.ckpt", "b.ckpt"]]


def test_a_failure_is_told_once_at_the_next_look(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    files = BackgroundFiles(lambda: pytest.fail("nothing may be deleted after a failure"))
    files.save_checkpoint({"weights": torch.ones(3)}, tmp_path / "file" / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"a\.ckpt: cannot be written \(.*; .* GB are free there"):
        while True:
            files.look()
    files.look()
    files.finish()


def test_an_error_of_the_training_waits_for_the_checkpoint(
    trained: Path, shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 3 is being written when the step after it fails."""
    recipe, folder = pretrain_recipe(shards_dir, tmp_path / "run"), tmp_path / "run" / "checkpoints"
    with monkeypatch.context() as slow:
        slow.setattr(torch, "save", lambda *args: (time.sleep(1), SAVE(*args)))
        cut_off_at(3, recipe)
    assert newest(folder) == (folder / "step=3.ckpt", [])
    pretrain(recipe)
    assert same_weights(weights_of(tmp_path / "run"), weights_of(trained))
