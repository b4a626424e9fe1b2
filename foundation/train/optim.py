"""Optimizer and learning-rate schedule of pretraining."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import torch

from foundation.config import TrainSection
from foundation.models import WfmForMaskedModeling
from foundation.train.muon import Muon

#: Of AdamW: decay of the means of gradients and of their squares.
BETAS = (0.9, 0.95)


def rate(step: int, train: TrainSection) -> float:
    """Factor of the learning rate at a step: linear warm-up, then cosine decay to 0.1, or `wsd`.

    Warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395): stays at 1 and comes down to 0 as one minus the root of
    the share that is done (Haegele et al. 2024, arXiv 2405.18392).
    """
    if step < train.warmup_steps:
        return (step + 1) / (train.warmup_steps + 1)
    if train.schedule == "wsd":
        start = train.decay_start
        return 1 - math.sqrt(min(1.0, max(0.0, (step - start) / (train.steps - start))))
    done = min(1.0, (step - train.warmup_steps) / max(1, train.steps - train.warmup_steps))
    return 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2


def make_optimizer(model: WfmForMaskedModeling, train: TrainSection) -> torch.optim.Optimizer:
    """AdamW; or Muon for the matrices of the blocks of encoder and decoder, with AdamW for the rest."""
    if train.optimizer == "adamw":
        return torch.optim.AdamW(
            parameter_groups(model, train.weight_decay), lr=train.learning_rate, betas=BETAS, fused=True
        )
    blocks = [*model.encoder.transformer.parameters(), *model.decoder.transformer.parameters()]
    matrices = [parameter for parameter in blocks if parameter.ndim == 2]
    groups = [{"params": matrices, "muon": True, "weight_decay": train.weight_decay}]
    return Muon([*groups, *parameter_groups(model, train.weight_decay, matrices)], train.learning_rate, BETAS)


def parameter_groups(
    model: torch.nn.Module, weight_decay: float, without: Collection[torch.nn.Parameter] = ()
) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: weight decay for matrices, none for biases, norms and embeddings."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    others = {id(parameter) for parameter in without}
    own = [parameter for parameter in model.parameters() if id(parameter) not in others]
    decay = [p for p in own if p.ndim >= 2 and id(p) not in embeddings]
    rest = [p for p in own if p.ndim < 2 or id(p) in embeddings]
    return [{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
