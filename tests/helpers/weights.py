"""Weights of training checkpoints, and their comparison."""

from __future__ import annotations

from pathlib import Path

import torch

from foundation.checkpoints.layout import FINAL
from foundation.checkpoints.training import load_checkpoint


def weights_of(run: Path, name: str = FINAL) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoints" / name)[1]


def same_weights(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
