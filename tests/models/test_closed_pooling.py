"""Poolings in closed form: what they measure of motion, and what they have nothing to do with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.signals import make_signal, mixed_signals, tiny_config

from foundation.data.tokens import tokenize
from foundation.models import ClosedForm, WfmForMaskedModeling, pool
from foundation.models.closed_pooling import BANDS, CLOSED_POOLINGS, PARTS
from foundation.models.structure import inputs_of
from foundation.signal import Signal

CONFIG = tiny_config()
CLOSED = ClosedForm(CONFIG)
ANY_SHAPE = ("statistics", "doppler", "envelope")


@torch.no_grad()
def pooled(signals: list[Signal], pooling: str) -> torch.Tensor:
    inputs = inputs_of(tokenize(signals, CONFIG), len(CONFIG.patch_shapes), "cpu")
    return pool(CLOSED, CLOSED(**inputs), inputs, pooling)


def tone(cycles: float, times: int = 64, strength: np.ndarray | float = 1.0) -> Signal:
    """Amplitudes that swing by a tenth of `strength`, so many cycles per patch of the first shape."""
    swing = np.sin(2 * np.pi * cycles * np.arange(times) / CONFIG.patch_shapes[0][0])
    values = np.exp(0.1 * strength * swing)[:, None, None] * np.ones((times, 2, 8))
    return make_signal(0, times=times, links=2, responses=8, kind="csi-amplitude", is_real=True, values=values)


@torch.no_grad()
def test_every_encoder_has_the_same_as_no_encoder(model: WfmForMaskedModeling) -> None:
    batch = tokenize([tone(2.0), tone(3.0)], CONFIG)
    inputs = inputs_of(batch, len(CONFIG.patch_shapes), "cpu")
    output = model.encoder.eval()(**inputs)
    for pooling in CLOSED_POOLINGS:
        assert torch.equal(
            pool(model.encoder, output, inputs, pooling), pool(CLOSED, CLOSED(**inputs), inputs, pooling)
        )


@pytest.mark.parametrize("pooling", ANY_SHAPE)
def test_signals_of_any_shape_can_be_compared_and_none_changes_with_its_neighbours(pooling: str) -> None:
    together, alone = pooled(mixed_signals(), pooling), [pooled([signal], pooling) for signal in mixed_signals()]
    assert bool(torch.isfinite(together).all())
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_doppler_finds_the_frequency_of_a_tone() -> None:
    bins = CONFIG.patch_shapes[0][0] // 2 + 1
    for cycles in (1, 3):
        power = pooled([tone(cycles)], "doppler")[0, :bins]
        assert int(power.argmax()) == cycles


def test_the_envelope_says_when_something_moved_and_how_fast() -> None:
    times = 64
    late = np.where(np.arange(times) >= times // 2, 1.0, 0.01)
    course = pooled([tone(3.0, times, late)], "envelope").view(1 + BANDS, PARTS)
    assert bool((course[0, PARTS // 2 :] > course[0, : PARTS // 2].max() + 0.5).all())
    slow, fast = (pooled([tone(cycles, times)], "envelope").view(1 + BANDS, PARTS)[1:].mean(1) for cycles in (0.5, 3.5))
    assert int(slow.argmax()) < int(fast.argmax())


def test_none_of_the_averages_knows_gain_or_response() -> None:
    plain = tone(2.0)
    filtered = plain.with_(values=plain.values * (1 + 0.2 * np.arange(8)) * np.array([1.0, 2.0])[:, None])
    for pooling in ("doppler", "envelope"):
        one, other = pooled([plain, filtered], pooling)
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_levels_of_links_with_one_response_are_their_gain() -> None:
    """Their mean without the gain is exactly 0, which does not say that nothing was measured."""
    levels = np.array([-40.0, -55.0, -70.0])[None, :, None] + np.random.default_rng(0).normal(0, 1, (16, 3, 1))
    scan = make_signal(0, times=16, links=3, responses=1, kind="rssi", is_real=True, values=levels)
    response = pooled([scan], "response").view(3, -1)[:, 0]
    assert response[0] > response[1] > response[2]


@pytest.mark.parametrize("times", [1, 16])
def test_a_transmitter_that_was_not_heard_is_as_weak_as_the_weakest(times: int) -> None:
    """As 0 it would be as strong as the mean of the others; a shorter signal in the same batch changes nothing."""
    levels = np.tile(np.array([-40.0, -90.0, -70.0])[None, :, None], (times, 1, 1))
    heard = np.ones((times, 3, 1), bool)
    heard[:, 1] = False
    scan = make_signal(0, times=times, links=3, responses=1, kind="rssi", is_real=True, values=levels, valid=heard)
    fewer = make_signal(0, times=times, links=2, responses=1, kind="rssi", is_real=True, values=levels[:, :2])
    response, shorter = pooled([scan, fewer], "response").view(2, 3, -1)
    near, silent, far = response[:, 0]
    assert near > far == silent
    assert bool((response[:, 1:] == 0).all()), "slots that no link has"
    assert shorter[2, 0] == 0, "no such link"
    broken = scan.with_(kind="csi-amplitude", values=np.abs(levels))
    assert pooled([broken], "response").view(3, -1)[1, 0] == 0, "a broken antenna is not far away"


def test_what_is_invariant_does_not_know_the_gain() -> None:
    plain = make_signal(0, kind="csi-amplitude", is_real=True, values=1 + np.random.default_rng(0).random((32, 2, 16)))
    louder = plain.with_(values=3 * plain.values)
    one, other = pooled([plain, louder], "invariant")
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert float(one.abs().max()) > 0.1


def test_a_snapshot_has_statistics_and_no_motion() -> None:
    near = (np.zeros(11), np.arange(11.0))
    scans = [
        make_signal(1, times=1, links=3, responses=11, kind="rssi", is_real=True, values=np.full((1, 3, 11), -50.0) - x)
        for x in near
    ]
    for pooling in ("response", "invariant", "statistics"):
        one, other = pooled(scans, pooling)
        assert bool(torch.isfinite(one).all()), pooling
        assert not one.equal(other), pooling
    assert not bool(pooled(scans, "envelope").any())


def test_the_closed_form_has_no_weights() -> None:
    assert not list(CLOSED.parameters())
