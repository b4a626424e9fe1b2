"""Tiny shards, a tiny pretraining run and the command line, for the end-to-end tests: real parts, seconds each.

A test module asks for the fixtures with `pytest_plugins = ["tiny"]`; they are built once per session.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.config import PretrainRecipe
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset

MODEL = {
    "hidden_size": 32,
    "depth": 1,
    "heads": 2,
    "decoder_size": 32,
    "decoder_depth": 1,
    "decoder_heads": 2,
}
TRAIN = {"steps": 8, "batch_size": 8, "accelerator": "cpu", "warmup_steps": 2, "checkpoint_every": 3, "log_every": 1}


def pretrain_recipe(shards: Path, out: Path, part: str = "room/train", **train: Any) -> PretrainRecipe:
    """Pretraining on a part; `train` changes numbers of the section of that name."""
    data = {"shards": str(shards), **dict(zip(("split", "part"), part.split("/"), strict=True))}
    return PretrainRecipe.model_validate(
        {"name": "tiny", "out": str(out), "data": data, "model": MODEL, "train": TRAIN | train}
    )


def cut_off_at(step: int, recipe: PretrainRecipe) -> None:
    """Pretrain until a stand-in power cut at the beginning of `step`."""
    from foundation.train.module import PretrainModule  # seconds, which most users of this file need not wait
    from foundation.train.pretrain import pretrain

    plain = PretrainModule.training_step

    def stand_in_power_cut(self: PretrainModule, batch: Any, batch_idx: int) -> Any:
        if self.global_step == step:
            raise ConnectionAbortedError("stand-in power cut")
        return plain(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(ConnectionAbortedError):
        patch.setattr(PretrainModule, "training_step", stand_in_power_cut)
        pretrain(recipe)


def write_recipe(path: Path, recipe: Any) -> Path:
    """A recipe (or a plain mapping) as a file for `--config`."""
    fields = recipe if isinstance(recipe, dict) else recipe.model_dump(mode="json")
    path.write_text(yaml.safe_dump(fields, sort_keys=False))
    return path


def environment(**changes: str) -> dict[str, str]:
    """Environment of a child: one thread, and neither the user's keys nor the settings of a tracker or a Hub."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "WANDB_"))}
    return own | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | changes


def wfm(*args: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`wfm ARGS` in a process of its own."""
    command = [sys.executable, "-m", "foundation.cli", *map(str, args)]
    return subprocess.run(command, env=env or environment(), cwd=cwd, capture_output=True, text=True, timeout=300)


def python(code: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run `code` in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=env or environment(), cwd=cwd, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file under `folder` with its bytes: compare before and after to see that nothing was changed."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def shards_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 simulated windows in shards of about 16."""
    out = tmp_path_factory.mktemp("shards") / "simulated"
    write_shards(open_dataset("simulated", count=400, seed=0), out, shard_bytes=2 * 2**20)
    return out


@pytest.fixture(scope="session")
def trained(shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run finished by `wfm pretrain`, with its exported `model` folder. Read, do not write."""
    from foundation.cli import main

    folder = tmp_path_factory.mktemp("trained")
    config = write_recipe(folder / "tiny.yaml", pretrain_recipe(shards_dir, folder / "run"))
    assert main(["pretrain", "--config", str(config)]) == 0
    return folder / "run"


def adapt_recipe(shards: Path, base: Path, out: Path, part: str = "room/train", **changes: Any) -> dict[str, Any]:
    """Adaptation to 48 samples of a part."""
    data = {"shards": str(shards), **dict(zip(("split", "part"), part.split("/"), strict=True)), "samples": 48}
    few = {"rank": 4, "steps": 20, "batch_size": 8, "check_every": 5, "learning_rate": 3e-2, "device": "cpu"}
    return {"name": "room", "out": str(out), "checkpoint": str(base), "data": data, **few, **changes}


@pytest.fixture(scope="session")
def domain(trained: Path, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a domain adapter that `wfm adapt` wrote. Read, do not write."""
    from foundation.cli import main

    folder = tmp_path_factory.mktemp("adapted")
    config = write_recipe(folder / "adapt.yaml", adapt_recipe(shards_dir, trained / "model", folder / "room-test"))
    assert main(["adapt", "--config", str(config)]) == 0
    return folder / "room-test"
