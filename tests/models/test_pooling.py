"""Pooling: each kind against a plain computation from the tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.signals import make_signal, tiny_config

from foundation.data.tokens import tokenize
from foundation.models import CONTEXT_TOKENS, WfmForMaskedModeling, pool
from foundation.models.column_statistics import ROWS, StatisticsTargets

CONFIG = tiny_config()


@torch.no_grad()
def test_pooling_keeps_dynamics_static_and_context_apart(model: WfmForMaskedModeling) -> None:
    signal = make_signal(0, times=16, links=2, responses=8)
    batch = tokenize([signal, make_signal(1, times=16, links=2, responses=8)], CONFIG)
    output = model.encoder(**batch)
    tokens, static = output.last_hidden_state[:, CONTEXT_TOKENS:], batch["static"][0]
    moments = pool(model.encoder, output, batch, "moments").unflatten(1, (-1, CONFIG.hidden_size))
    for place, chosen in enumerate((static, ~static)):
        torch.testing.assert_close(moments[:, 2 * place], tokens[:, chosen].mean(1))
        deviation = tokens[:, chosen].std(1, correction=0)
        torch.testing.assert_close(moments[:, 2 * place + 1], deviation, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(moments[:, 4:], output.last_hidden_state[:, :CONTEXT_TOKENS])
    columns = pool(model.encoder, output, batch, "columns").unflatten(1, (-1, CONFIG.hidden_size))
    assert columns.shape[1] == 4 + CONTEXT_TOKENS
    torch.testing.assert_close(columns[:, :4], tokens[:, static])
    torch.testing.assert_close(columns[:, 4:], moments[:, 4:])


@torch.no_grad()
def test_the_summary_tokens_of_a_snapshot_are_its_patches(model: WfmForMaskedModeling) -> None:
    batch = tokenize([make_signal(0, times=1, links=2, responses=8)], CONFIG)
    output = model.encoder(**batch)
    columns = pool(model.encoder, output, batch, "columns").unflatten(1, (-1, CONFIG.hidden_size))
    torch.testing.assert_close(columns[:, :-CONTEXT_TOKENS], output.last_hidden_state[:, CONTEXT_TOKENS:])


@torch.no_grad()
@pytest.mark.parametrize("responses", [8, 11])
@pytest.mark.parametrize("kind", ["csi", "csi-amplitude"])
def test_statistics_are_pooled_column_by_column_where_something_was_measured(
    model: WfmForMaskedModeling, responses: int, kind: str
) -> None:
    signals = [make_signal(i, times=16, links=2, responses=responses) for i in range(2)]
    if kind == "csi-amplitude":
        signals = [each.with_(kind=kind, values=np.abs(each.values)) for each in signals]
    batch = tokenize(signals, CONFIG)
    output = model.encoder(**batch)
    static, shape = batch["static"][0], int(batch["shape"][0, 0])
    targets, components = StatisticsTargets(CONFIG.patch_shapes), output.components
    own = (x[:, static].flatten(0, 1) for x in (components.values, components.gain, batch["observed"]))
    values, gain, observed = own
    exact = (targets.targets(values, gain, shape) * targets.known(observed, shape)).unflatten(0, (2, -1))
    row = dict(zip(ROWS, exact.unbind(2), strict=True))
    parts = 1 if kind == "csi-amplitude" else 2  # real and imaginary
    assert (row["mean"] != 0).sum() == 2 * 2 * responses * parts
    response = pool(model.encoder, output, batch, "response").unflatten(1, (-1, 16))
    torch.testing.assert_close(response, (row["mean"] + row["gain"][:, :, :1]) * (row["mean"] != 0))
    # Of fields the level holds the gain, which must not come back.
    unit = output.components.static_level if kind == "csi-amplitude" else torch.ones(2)
    expected = torch.stack([row["deviation"], row["change"], row["trend"], row["slope"] * unit[:, None, None]], dim=2)
    torch.testing.assert_close(pool(model.encoder, output, batch, "invariant"), expected.flatten(1))


def test_pooling_a_single_token_has_a_gradient(model: WfmForMaskedModeling) -> None:
    batch = tokenize([make_signal(0, times=1, links=1, responses=4)], CONFIG)
    output = model.encoder(**batch)
    output.last_hidden_state.retain_grad()
    pool(model.encoder, output, batch, "columns").sum().backward()
    assert bool(torch.isfinite(output.last_hidden_state.grad).all())
