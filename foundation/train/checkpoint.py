"""Training checkpoint -> (recipe, weights), whatever strategy wrote it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foundation.errors import CheckpointError

PREFIX = "model."  # of the network inside the LightningModule


def load_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Recipe and fp32 weights of the network from a Lightning file or a DeepSpeed directory of any ZeRO stage.

    Nothing but tensors and plain containers is unpickled (`weights_only`).

    Raises:
        CheckpointError: no such checkpoint, a damaged one, or one that this library did not write.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint; 'wfm pretrain' writes checkpoints/final.ckpt in its run.")
    try:
        client, state = _from_zero(path) if path.is_dir() else _from_file(path)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: cannot be read as a training checkpoint ({reason}).") from error
    weights = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    if "recipe" not in client or not weights:
        raise CheckpointError(f"{path}: holds no recipe and network of this library; was it written by 'wfm pretrain'?")
    return client["recipe"], weights


def _from_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    return content, content["state_dict"]


def _from_zero(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint  # 3 s to import

    folder = path / "checkpoint"
    model_states = sorted(folder.glob("*model_states.pt"))
    if not model_states:
        raise CheckpointError(f"{path}: holds no checkpoint/*model_states.pt, so it is no DeepSpeed checkpoint.")
    # DeepSpeed pickles its own classes (its loss scaler, its version): only a checkpoint one wrote oneself gets here.
    client = torch.load(model_states[0], map_location="cpu", weights_only=False)
    state = get_fp32_state_dict_from_zero_checkpoint(str(path), tag="checkpoint")
    return client, {name.removeprefix("_forward_module."): value for name, value in state.items()}
