"""Read training checkpoints of any strategy without running code from them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foundation.errors import CheckpointError
from foundation.files import open_regular

PREFIX = "model."  # of the network inside the LightningModule
FORCE_WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def load_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Recipe and fp32 weights of the network from a Lightning file or a DeepSpeed directory of any ZeRO stage.

    Only tensors and plain values are unpickled, and three data classes of DeepSpeed in its directories.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, or not written by this library.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint; 'wfm pretrain' writes checkpoints/final.ckpt in its run.")
    try:
        client, state = _from_zero(path) if path.is_dir() else _from_file(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: is damaged, or holds more than tensors and plain values and could run code when loaded; "
            "only what 'wfm pretrain' wrote is read."
        ) from error
    except (RuntimeError, EOFError, OSError, LookupError, TypeError, ValueError, AttributeError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: cannot be read as a training checkpoint ({reason}).") from error
    whole = isinstance(client, dict) and isinstance(state, dict) and isinstance(client.get("recipe"), dict)
    names = [name for name in state if isinstance(name, str) and name.startswith(PREFIX)] if whole else []
    weights = {name.removeprefix(PREFIX): state[name] for name in names}
    if not weights:
        raise CheckpointError(f"{path}: holds no recipe and network of this library; was it written by 'wfm pretrain'?")
    for name, value in weights.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or not value.is_floating_point():
            raise CheckpointError(f"{path}: {name[:80]!r} is no array of floating-point numbers.")
    return client["recipe"], weights


@contextmanager
def weights_only() -> Iterator[None]:
    """Within the block, files that DeepSpeed loads cannot run code, although it passes `weights_only=False`.

    An environment variable of torch overrides that argument. The allowed classes are those in DeepSpeed's optimizer
    files at every stage, in fp32 and bf16: a loss scale, a stage number, an address in a flat tensor.
    """
    from deepspeed.runtime.fp16.loss_scaler import LossScaler  # 3 s to import
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    before = os.environ.get(FORCE_WEIGHTS_ONLY)
    os.environ[FORCE_WEIGHTS_ONLY] = "1"
    try:
        with torch.serialization.safe_globals([LossScaler, ZeroStageEnum, fragment_address]):
            yield
    finally:
        if before is None:
            del os.environ[FORCE_WEIGHTS_ONLY]
        else:
            os.environ[FORCE_WEIGHTS_ONLY] = before


def _from_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    open_regular(path).close()  # torch would wait for the other end of a pipe, and read a device without end
    content = torch.load(path, map_location="cpu", weights_only=True)
    return content, content["state_dict"]


def _from_zero(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    folder = path / "checkpoint"
    model_states = sorted(folder.glob("*model_states.pt"))
    if not model_states:
        raise CheckpointError(f"{path}: holds no checkpoint/*model_states.pt, so it is no DeepSpeed checkpoint.")
    for file in folder.glob("*.pt"):
        open_regular(file).close()
    client = torch.load(model_states[0], map_location="cpu", weights_only=True)
    if not list(folder.glob("*zero_pp_rank_*")):  # stage 0: not partitioned
        return client, {name: value.float() for name, value in client["module"].items()}
    with weights_only():
        state = get_fp32_state_dict_from_zero_checkpoint(str(path), tag="checkpoint")
    return client, {name.removeprefix("_forward_module."): value for name, value in state.items()}
