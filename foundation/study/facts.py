"""Size and cost of a run: parameters, data, steps, tokens and seconds, read from its files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from foundation.checkpoints.layout import FINAL, FOLDER
from foundation.config import PretrainRecipe
from foundation.data.stream import ShardStream
from foundation.errors import CheckpointError
from foundation.models import WfmForMaskedModeling
from foundation.train.directory.history import read_history


def facts_of(recipe: PretrainRecipe, model: WfmForMaskedModeling, trained: bool) -> dict[str, Any]:
    """Size and cost of a run, for the result file.

    Returns:
        `parameters` of the encoder and `model_parameters` with decoder and heads; `samples` and `sessions` of the
        training part; `steps`, `samples_seen` and `tokens` of training, repetitions included; `train_s`, seconds in
        training steps without start and end, and `steps_per_s`.

    Raises:
        CheckpointError: the final checkpoint does not record its position in the stream.
    """
    stream = ShardStream(
        recipe.data.sources,
        model.config,
        recipe.train.batch_size,
        recipe.seed,
        recipe.train.steps,
        temperature=recipe.data.temperature,
    )
    found: dict[str, Any] = {
        "parameters": sum(p.numel() for p in model.encoder.parameters()),
        "model_parameters": sum(p.numel() for p in model.parameters()),
        "samples": stream.total,
        "sessions": sum(len(corpus.sessions) for corpus in stream.corpora),
    }
    if not trained:
        return found | {"steps": 0, "samples_seen": 0, "tokens": 0}
    seen = _position(recipe.out / FOLDER / FINAL)
    steps, paces = (
        recipe.train.steps,
        [row["samples_per_s"] for row in read_history(recipe.out) if "samples_per_s" in row],
    )
    seconds = seen / len(paces) * sum(1 / pace for pace in paces) if paces else math.nan
    took = {"train_s": seconds, "steps_per_s": steps / seconds} if math.isfinite(seconds) else {}
    tokens = int(stream.lengths(0, seen).sum())
    return found | {"steps": steps, "samples_seen": seen, "tokens": tokens, **took}


def _position(checkpoint: Path) -> int:
    """Number of samples that training has read."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    try:
        return int(state["Shards"]["position"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{checkpoint}: has no position in the data stream; pretrain the run again.") from None
