"""Retention of checkpoints, and resuming past damaged and partial ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.tiny import pretrain_recipe

from foundation.checkpoints.integrity import newest
from foundation.checkpoints.layout import FINAL, numbered
from foundation.checkpoints.training import load_checkpoint
from foundation.errors import CheckpointError
from foundation.train.pretrain import pretrain


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_rule_keeps_the_newest_and_every_so_many(shards_dir: Path, tmp_path: Path) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", steps=9, checkpoint_every=1, keep_last=2, keep_every=3)
    pretrain(recipe)
    kept = ["final.ckpt", "step=3.ckpt", "step=6.ckpt", "step=8.ckpt", "step=9.ckpt"]
    assert _names(tmp_path / "run" / "checkpoints") == kept


def _cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _flip(file: Path) -> None:
    """One bit, in the middle of the weights: torch loads it without a word."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def _interrupted(shards: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run as it stood at step 6 of 8, and its checkpoints."""
    pretrain(pretrain_recipe(shards, out, checkpoint_every=3))
    (out / "checkpoints" / FINAL).unlink()
    capsys.readouterr()
    return out / "checkpoints"


@pytest.mark.parametrize("hurt", [_cut, _flip])
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(
    hurt: Callable[[Path], None],
    trained: Path,
    shards_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = _interrupted(shards_dir, tmp_path / "run", capsys)
    assert newest(folder) == (folder / "step=6.ckpt", [])
    hurt(folder / "step=6.ckpt")
    found, problems = newest(folder)
    assert found == folder / "step=3.ckpt"
    assert len(problems) == 1
    pretrain(pretrain_recipe(shards_dir, tmp_path / "run"))
    said = capsys.readouterr().out
    assert str(folder / "step=6.ckpt") in said
    assert "resuming from step 3 of" in said
    one, two = (load_checkpoint(run / "checkpoints" / FINAL)[1] for run in (tmp_path / "run", trained))
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_without_a_whole_checkpoint_nothing_begins_anew_unasked(
    shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _interrupted(shards_dir, tmp_path / "run", capsys)
    for path in numbered(folder):
        _cut(path)
    with pytest.raises(CheckpointError, match=r"step=6.ckpt: is truncated .*no older one is intact"):
        pretrain(pretrain_recipe(shards_dir, tmp_path / "run"))


def test_what_a_killed_process_left_half_written_is_removed(
    shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _interrupted(shards_dir, tmp_path / "run", capsys)
    (folder / "step=7.ckpt.partial").write_bytes(b"PK")
    (folder / "step=8.ckpt.partial").mkdir()
    pretrain(pretrain_recipe(shards_dir, tmp_path / "run"))
    assert not list(folder.glob("*.partial"))
