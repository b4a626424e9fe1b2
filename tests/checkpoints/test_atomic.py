"""Which checkpoints are kept, what a torn one, a full disk and a killed process do to a run. Real files throughout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from helpers.tiny import pretrain_recipe, wfm, write_recipe

from foundation.checkpoints.atomic import renamed
from foundation.checkpoints.integrity import integrity_problem, newest
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
    assert "resuming from step=3.ckpt" in said
    one, two = (load_checkpoint(run / "checkpoints" / FINAL)[1] for run in (tmp_path / "run", trained))
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_without_a_whole_checkpoint_nothing_begins_anew_unasked(
    shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _interrupted(shards_dir, tmp_path / "run", capsys)
    for path in numbered(folder):
        _cut(path)
    with pytest.raises(CheckpointError, match=r"step=6.ckpt: is torn .*no older one is intact"):
        pretrain(pretrain_recipe(shards_dir, tmp_path / "run"))


def test_what_a_killed_process_left_half_written_is_removed(
    shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _interrupted(shards_dir, tmp_path / "run", capsys)
    (folder / "step=7.ckpt.partial").write_bytes(b"PK")
    (folder / "step=8.ckpt.partial").mkdir()
    pretrain(pretrain_recipe(shards_dir, tmp_path / "run"))
    assert not list(folder.glob("*.partial"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB: room for one checkpoint of 2 MB and half of the next."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here; it takes root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_reported_and_the_old_checkpoint_stays(
    shards_dir: Path, small_disk: Path, tmp_path: Path
) -> None:
    recipe = pretrain_recipe(shards_dir, small_disk / "run", checkpoint_every=3, keep_last=1)
    done = wfm("pretrain", "--config", write_recipe(tmp_path / "tiny.yaml", recipe))
    assert done.returncode == 2
    assert "step=6.ckpt: cannot be written (" in done.stderr
    assert "make room or lower train.keep_last, then run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    folder = small_disk / "run" / "checkpoints"
    assert _names(folder) == ["step=3.ckpt"]
    assert integrity_problem(folder / "step=3.ckpt") is None


def test_nothing_stands_at_the_place_of_what_was_not_finished(tmp_path: Path) -> None:
    with pytest.raises(KeyError), renamed(tmp_path / "a.ckpt") as partial:
        partial.write_bytes(b"half")
        raise KeyError
    assert _names(tmp_path) == []
