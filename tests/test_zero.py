"""ZeRO checkpoints: real ones of two CPU ranks, exported and resumed, and hostile ones that must not run code."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny import pretrain_recipe, wfm, write_recipe

from foundation.errors import CheckpointError
from foundation.train.checkpoint import FORCE_WEIGHTS_ONLY, load_checkpoint
from foundation.train.run import FINAL, LAST

pytest_plugins = ["tiny"]


class Hostile:
    """Unpickling it makes a directory: proof that code from the file has run."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.proof),)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("strategy", ["zero-2", "zero-3"])
def test_a_run_is_exported_and_resumes_exactly(strategy: str, shards_dir: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = pretrain_recipe(
        shards_dir, run, steps=4, checkpoint_every=2, devices=2, strategy=strategy, picture_every=2
    )
    config = write_recipe(tmp_path / "tiny.yaml", recipe)
    done = wfm("pretrain", "--config", config)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("no pictures are drawn: under zero-3") == (strategy == "zero-3")
    assert (run / "pictures" / "step=4.png").exists() == (strategy != "zero-3")
    weights = load_checkpoint(run / "checkpoints" / FINAL)[1]
    exported = safetensors.torch.load_file(run / "model" / "model.safetensors")
    assert weights.keys() == exported.keys()
    assert all(torch.equal(weights[name], exported[name]) for name in weights)

    shutil.rmtree(run / "model")
    shutil.rmtree(run / "checkpoints" / FINAL)
    shutil.rmtree(run / "checkpoints" / LAST)
    (run / "checkpoints" / "step=2.ckpt").rename(run / "checkpoints" / LAST)
    halfway = load_checkpoint(run / "checkpoints" / LAST)[1]
    assert not all(torch.equal(weights[name], halfway[name]) for name in weights)
    done = wfm("pretrain", "--config", config)
    assert done.returncode == 0, done.stderr[-3000:]
    again = load_checkpoint(run / "checkpoints" / FINAL)[1]
    assert all(torch.equal(weights[name], again[name]) for name in weights)

    next((run / "checkpoints" / FINAL).glob("checkpoint/*rank_1*optim_states.pt")).unlink()
    with pytest.raises(CheckpointError, match="Expected 2 of"):
        load_checkpoint(run / "checkpoints" / FINAL)


@pytest.mark.parametrize("place", ["file", "model states", "optimizer states"])
def test_a_hostile_checkpoint_runs_nothing(place: str, tmp_path: Path) -> None:
    proof, control = tmp_path / "proof", tmp_path / "control"
    torch.save(Hostile(control), tmp_path / "control.pt")
    torch.load(tmp_path / "control.pt", weights_only=False)
    assert control.exists(), "the pickle must be one that runs code where it is let"

    checkpoint = tmp_path / FINAL
    states: dict[str, Any] = {"recipe": {}, "module": {}, "buffer_names": [], "param_shapes": [], "shared_params": {}}
    if place == "file":
        torch.save({"recipe": {}, "state_dict": Hostile(proof)}, checkpoint)
    else:
        (checkpoint / "checkpoint").mkdir(parents=True)
        hostile = {"optimizer_state_dict": Hostile(proof)}
        model, optimizer = (states | hostile, {}) if place == "model states" else (states, hostile)
        torch.save(model, checkpoint / "checkpoint" / "mp_rank_00_model_states.pt")
        torch.save(optimizer, checkpoint / "checkpoint" / "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    with pytest.raises(CheckpointError, match="could run code"):
        load_checkpoint(checkpoint)
    assert not proof.exists()
    assert FORCE_WEIGHTS_ONLY not in os.environ
