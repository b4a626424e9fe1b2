"""The encoder: it reads the content and the physical axes of visible tokens, and says which tokens these are."""

from __future__ import annotations

import pytest
import torch
from helpers.models import hide
from helpers.signals import make_signal, mixed_signals, tiny_config

from foundation.data.tokens import tokenize
from foundation.models import CONTEXT_TOKENS, WfmForMaskedModeling

CONFIG = tiny_config()


@torch.no_grad()
def test_visible_content_does_change_the_output(model: WfmForMaskedModeling) -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    visible = hide(batch)
    changed = {**batch, "values": batch["values"].flip(-1)}
    moved = (model(visible, **batch)[0] - model(visible, **changed)[0]).abs().amax((1, 2))
    assert (moved > 1e-4).all()


@torch.no_grad()
@pytest.mark.parametrize("name", ["position", "link", "radio", "kind"])
def test_the_physical_axes_matter(model: WfmForMaskedModeling, name: str) -> None:
    batch = tokenize([make_signal(0)], CONFIG)
    changed = {**batch, name: batch[name] + 1 if name != "position" else batch[name] * 2}
    one, two = (model.encoder(**each).last_hidden_state for each in (batch, changed))
    assert (one - two).abs().max() > 1e-3


@torch.no_grad()
def test_the_index_is_that_of_the_visible_tokens(model: WfmForMaskedModeling) -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    visible = hide(batch)
    output = model.encoder(visible=visible, **batch)
    for i in range(len(visible)):
        real = output.index[i][output.keep[i, CONTEXT_TOKENS:]]
        assert real.tolist() == visible[i].nonzero().flatten().tolist()
