"""The closed form in the place of an encoder: what the statistics head is trained on, for signals of any shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.signals import make_signal, mixed_signals, tiny_config

from foundation.data.tokens import tokenize
from foundation.models import CONTEXT_TOKENS, ClosedForm, WfmForMaskedModeling, pool
from foundation.models.closed_form import Readout
from foundation.models.structure import inputs_of
from foundation.signal import Signal

CONFIG = tiny_config()
CLOSED = ClosedForm(CONFIG)


@torch.no_grad()
def pooled(signals: list[Signal], pooling: str) -> torch.Tensor:
    inputs = inputs_of(tokenize(signals, CONFIG), len(CONFIG.patch_shapes), "cpu")
    return pool(CLOSED, CLOSED(**inputs), inputs, pooling)


@torch.no_grad()
def test_its_tokens_are_the_targets_of_the_statistics_head(
    model: WfmForMaskedModeling, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    inputs = inputs_of(batch, len(CONFIG.patch_shapes), "cpu")
    output, full = CLOSED(**inputs), model.encoder.components(batch, batch["measured"])
    monkeypatch.setattr(model.encoder.statistics_head, "forward", Readout(CONFIG).forward)
    monkeypatch.setattr(model.levels, "forward", lambda _: full.levels())
    assert float(model.statistics_loss(output, full, inputs)) == 0
    wrong = output.last_hidden_state.clone()
    wrong[:, CONTEXT_TOKENS:] += 0.5
    output.last_hidden_state = wrong
    assert float(model.statistics_loss(output, full, inputs)) == pytest.approx(0.25)


def test_signals_of_any_shape_have_moments_and_a_snapshot_has_all() -> None:
    moments = [pooled([signal], "moments") for signal in mixed_signals()]
    assert len({each.shape for each in moments}) == 1
    assert all(bool(torch.isfinite(each).all()) and bool(each.any()) for each in moments)
    scans = [
        make_signal(
            1, times=1, links=3, responses=11, kind="rssi", is_real=True, values=np.full((1, 3, 11), -50.0) - near
        )
        for near in (np.zeros(11), np.arange(11.0))
    ]
    for pooling in ("columns", "context", "response", "invariant"):
        one, other = pooled(scans, pooling)
        assert bool(torch.isfinite(one).all()), pooling
        assert not one.equal(other), pooling


def test_levels_of_links_with_one_response_are_their_gain() -> None:
    """Their mean without the gain is exactly 0, which does not say that nothing was measured."""
    levels = np.array([-40.0, -55.0, -70.0])[None, :, None] + np.random.default_rng(0).normal(0, 1, (16, 3, 1))
    scan = make_signal(0, times=16, links=3, responses=1, kind="rssi", is_real=True, values=levels)
    response = pooled([scan], "response").view(3, -1)[:, 0]
    assert response[0] > response[1] > response[2]


def test_what_is_invariant_does_not_know_the_gain() -> None:
    plain = make_signal(0, kind="csi-amplitude", is_real=True, values=1 + np.random.default_rng(0).random((32, 2, 16)))
    louder = plain.with_(values=3 * plain.values)
    one, other = pooled([plain, louder], "invariant")
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert float(one.abs().max()) > 0.1


def test_it_has_no_weights() -> None:
    assert not list(CLOSED.parameters())
    assert CLOSED.statistics_head.is_trained
