"""Reading hostile training checkpoints, single files and ZeRO directories, must not run code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from foundation.checkpoints.layout import FINAL
from foundation.checkpoints.training import FORCE_WEIGHTS_ONLY, load_checkpoint
from foundation.errors import CheckpointError


class Hostile:
    """Unpickling it makes a directory: proof that code from the file has run."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.proof),)


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


@pytest.mark.parametrize("place", ["file", "model states", "optimizer states"])
def test_a_pipe_or_a_device_is_no_checkpoint(place: str, tmp_path: Path) -> None:
    checkpoint = path = tmp_path / FINAL
    if place != "file":
        (checkpoint / "checkpoint").mkdir(parents=True)
        path = checkpoint / "checkpoint" / "mp_rank_00_model_states.pt"
    if place == "optimizer states":
        torch.save({"recipe": {}, "module": {}}, path)
        path = checkpoint / "checkpoint" / "zero_pp_rank_0_mp_rank_00_optim_states.pt"
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="not a regular file"):
        load_checkpoint(checkpoint)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="not a regular file"):
        load_checkpoint(checkpoint)
