"""Atomic writes of checkpoints: a full disk and an error leave earlier files unchanged."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.tiny import pretrain_recipe, wfm, write_recipe

from foundation.checkpoints.atomic import renamed
from foundation.checkpoints.integrity import integrity_problem


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
    assert "free space or lower train.keep_last, then run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    folder = small_disk / "run" / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["step=3.ckpt"]
    assert integrity_problem(folder / "step=3.ckpt") is None


def test_nothing_stands_at_the_place_of_what_was_not_finished(tmp_path: Path) -> None:
    with pytest.raises(KeyError), renamed(tmp_path / "a.ckpt") as partial:
        partial.write_bytes(b"half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []
