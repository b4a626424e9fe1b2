"""Embeddings: unknown radio parameters have one of their own."""

from __future__ import annotations

import torch
from helpers.models import build
from helpers.signals import make_signal, tiny_config

from foundation.data.tokens import tokenize
from foundation.objectives import MaskedObjective

CONFIG = tiny_config()


def test_unknown_numbers_have_finite_gradients_and_an_embedding_of_their_own() -> None:
    model = build()
    batch = tokenize([make_signal(0, times=1, carrier_hz=0.0, bandwidth_hz=0.0)] * 2, CONFIG)
    assert torch.isnan(batch["radio"]).all()
    loss, _ = MaskedObjective()(model, batch, torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name  # type: ignore[arg-type]
    unknown = model.encoder.context.unknown.grad
    assert unknown is not None
    assert unknown.abs().amax(1).gt(0).all()
