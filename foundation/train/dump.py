"""What a step was made of, kept when it must not be taken: weights, batch and the draws, so that it can be repeated."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from foundation.errors import CheckpointError
from foundation.models import WfmForMaskedModeling
from foundation.objectives import MaskedObjective

_MODEL, _HEADS, _BATCH = "model.", "heads.", "batch."


def leave_dump(
    directory: Path,
    network: nn.Module,
    heads: nn.ModuleDict,
    batch: dict[str, Tensor],
    step: int,
    place: int,
    seed: int,
) -> Path:
    """Write one safetensors file into `directory`; of a network that ZeRO-3 has cut up, the batch alone."""
    weights = {_MODEL + name: value for name, value in network.state_dict().items()}
    weights |= {_HEADS + name: value for name, value in heads.state_dict().items()}
    if not all(weight.numel() for weight in weights.values()):
        weights = {}
    tensors = weights | {_BATCH + name: value for name, value in batch.items()}
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"step={step}-batch={place}.safetensors"
    metadata = {"step": str(step), "place": str(place), "seed": str(seed)}
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, path, metadata)
    return path


def replay(path: Path, model: WfmForMaskedModeling, objective: MaskedObjective) -> Tensor:
    """The loss of a dumped step, with its graph; `model` takes the dumped weights where the dump has them.

    Raises:
        CheckpointError: not a dump, or one of another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        weights, learnt, batch = (_under(tensors, start) for start in (_MODEL, _HEADS, _BATCH))
        heads = objective.heads(model.config)
        if weights:
            model.load_state_dict(weights)
            heads.load_state_dict(learnt)
        step, place, seed = (int(metadata[name]) for name in ("step", "place", "seed"))
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: is no dump of this network ({str(error).splitlines()[0]}).") from error
    return objective(model, batch, draws_of(seed, step, place), heads)[0]


def _under(tensors: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def draws_of(seed: int, step: int, place: int) -> torch.Generator:
    """A function of seed, step and the batch's place in the step: a resumed run draws what the uninterrupted one would
    have drawn."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 4096 + place)
