"""Tests that need a CUDA device; skipped without one."""

from __future__ import annotations

import pytest
import torch
from helpers.signals import make_signal

from foundation.data.tokens import tokenize
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.objectives import MaskedObjective

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def test_a_training_step_gives_the_same_loss_on_cuda_as_on_cpu() -> None:
    torch.manual_seed(0)
    model = WfmForMaskedModeling(WfmConfig(hidden_size=64, depth=2))
    batch = tokenize([make_signal(seed, 64, 2, 30) for seed in range(8)], model.config)
    losses = {}
    for device in ("cpu", "cuda"):
        model = model.to(device)
        moved = {name: value.to(device) for name, value in batch.items()}
        loss, _ = MaskedObjective()(model, moved, torch.Generator().manual_seed(0))
        loss.backward()
        losses[device] = loss.item()
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=1e-3)
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.parameters())
