"""Learning-rate schedule and parameter groups of the optimizer."""

from __future__ import annotations

import math
from typing import Any

import torch


def rate(step: int, warmup: int, total: int) -> float:
    """Factor of the learning rate at a step: linear warm-up, then cosine decay to 0.1."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: weight decay for matrices, none for biases, norms and embeddings."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    decay = [p for p in model.parameters() if p.ndim >= 2 and id(p) not in embeddings]
    rest = [p for p in model.parameters() if p.ndim < 2 or id(p) in embeddings]
    return [{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
