"""Dump of a training step whose loss or gradient is not finite (weights, batch, random state), and its replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from foundation.errors import CheckpointError
from foundation.models import WfmForMaskedModeling
from foundation.objectives import MaskedObjective
from foundation.train.tasks import draws_of

_MODEL, _BATCH = "model.", "batch."


def leave_dump(directory: Path, network: nn.Module, batch: dict[str, Any], step: int, place: int, seed: int) -> Path:
    """Write one safetensors file into `directory` and return its path; under ZeRO-3 and FSDP it holds the batch only.

    Args:
        place: index of the batch within the step, over all processes.
    """
    weights = network.state_dict()
    if any(isinstance(weight, DTensor) or not weight.numel() for weight in weights.values()):
        weights = {}
    tensors = {_MODEL + name: value for name, value in weights.items()} | {
        _BATCH + name: value for name, value in batch.items() if isinstance(value, Tensor)
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"step={step}-batch={place}.safetensors"
    metadata = {"step": str(step), "place": str(place), "seed": str(seed)}
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, path, metadata)
    return path


def replay(path: Path, model: WfmForMaskedModeling, objective: MaskedObjective) -> Tensor:
    """The loss of a dumped step, with its autograd graph; `model` loads the dumped weights, if any.

    Raises:
        CheckpointError: not a dump, or a dump of another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        weights = {name.removeprefix(_MODEL): x for name, x in tensors.items() if name.startswith(_MODEL)}
        if weights:
            model.load_state_dict(weights)
        step, place, seed = (int(metadata[name]) for name in ("step", "place", "seed"))
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: is no dump of this network ({str(error).splitlines()[0]}).") from error
    batch = {name.removeprefix(_BATCH): x for name, x in tensors.items() if name.startswith(_BATCH)}
    return objective(model, batch, draws_of(seed, step, place))[0]
