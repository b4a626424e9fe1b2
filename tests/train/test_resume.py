"""Two processes resume: one looks for the checkpoint and the other is told, whoever has started them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.tiny import environment, pretrain_recipe, write_recipe

from foundation.checkpoints.layout import FINAL, numbered

pytestmark = [pytest.mark.distributed, pytest.mark.slow, pytest.mark.xdist_group("resume")]

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
#: `wfm pretrain` in which every process says where it looks for checkpoints and where it goes on.
PROGRAM = """
import sys
from foundation.cli import main
from foundation.train import resume
from foundation.train.module import PretrainModule
newest, start = resume.newest, PretrainModule.on_train_start
def looks(folder):
    print("looks\\n", end="", flush=True)
    return newest(folder)
def goes_on(self):
    print(f"rank {self.global_rank} of {self.trainer.world_size} goes on at {self.global_step}\\n", end="", flush=True)
    start(self)
resume.newest, PretrainModule.on_train_start = looks, goes_on
sys.exit(main(["pretrain", "--config", sys.argv[1]]))
"""


@pytest.fixture(scope="module")
def begun(shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Configuration and checkpoints of a run that two processes brought to step 6 of 8; the last is damaged."""
    folder = tmp_path_factory.mktemp("begun")
    recipe = pretrain_recipe(shards_dir, folder / "run", devices=2, keep_last=9)
    config = write_recipe(folder / "tiny.yaml", recipe)
    assert _run((), config).returncode == 0
    _damage(folder / "run" / "checkpoints" / "step=6.ckpt")
    return config, folder / "run" / "checkpoints"


def _run(launcher: Sequence[str], config: Path) -> subprocess.CompletedProcess[str]:
    program = config.with_name("program.py")
    program.write_text(PROGRAM)
    command = [sys.executable, *launcher, program, config]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)


def _damage(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize("launcher", [(), TORCHRUN], ids=["Lightning", "torchrun"])
def test_one_process_looks_and_both_go_on_at_the_same_step(launcher: Sequence[str], begun: tuple[Path, Path]) -> None:
    config, folder = begun
    _damage(folder / "step=6.ckpt")
    (folder / FINAL).unlink(missing_ok=True)
    done = _run(launcher, config)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("looks\n") == 1
    assert [f"rank {rank} of 2 goes on at 3\n" in done.stdout for rank in (0, 1)] == [True, True]
    assert (folder / FINAL).exists()


def test_without_an_intact_checkpoint_both_end(begun: tuple[Path, Path]) -> None:
    config, folder = begun
    (folder / FINAL).unlink(missing_ok=True)
    for path in numbered(folder):
        _damage(path)
    done = _run(TORCHRUN, config)
    assert done.returncode != 0
    assert done.stdout.count("looks\n") == 1
    assert done.stderr.count("no older one is intact. Move") == 2
