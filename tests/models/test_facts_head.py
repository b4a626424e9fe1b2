"""Facts head: what its loss reads, and that it learns what a simulator knows."""

from __future__ import annotations

import torch

from foundation.data.tokens import tokenize
from foundation.models import WfmConfig, WfmModel
from foundation.models.facts_head import FactsHead, parts_of
from foundation.models.structure import inputs_of
from foundation.signal import Signal
from foundation.signal.facts import CORPUS, PARTS
from foundation.simulate import simulate

CONFIG = WfmConfig(hidden_size=32, depth=1, heads=2, decoder_size=16, decoder_depth=1, decoder_heads=2)


def signals(count: int) -> list[Signal]:
    return [signal.with_(source=CORPUS) for signal in simulate(count, seed=4)]


def inputs(given: list[Signal]) -> dict[str, object]:
    return inputs_of(tokenize(given, CONFIG), len(CONFIG.patch_shapes), "cpu")


def test_tokens_have_the_parts_of_the_window_that_they_lie_in() -> None:
    time = torch.arange(8)[None]
    weight = parts_of(time, torch.ones(1, 8, dtype=torch.bool))
    assert torch.equal(weight[0], torch.eye(PARTS))
    few = parts_of(torch.tensor([[0, 1]]), torch.tensor([[True, False]]))[0]  # half a window each, one of them no token
    assert bool((few[0, :4] > 0).all()) and bool((few[1] == 0).all())


def test_recordings_have_no_loss() -> None:
    torch.manual_seed(0)
    encoder, head = WfmModel(CONFIG), FactsHead(CONFIG.hidden_size)
    recorded = [signal.with_(source="https://example.org") for signal in signals(8)]
    loss, own = head.loss(encoder(**(given := inputs(recorded))), given)  # type: ignore[arg-type]
    assert float(loss) == 0 and all(float(each) == 0 for each in own.values())
    loss.backward()
    assert all(p.grad is None or not bool(p.grad.any()) for p in encoder.parameters())


def test_facts_are_learned() -> None:
    torch.manual_seed(0)
    encoder, head = WfmModel(CONFIG), FactsHead(CONFIG.hidden_size)
    given = inputs(signals(24))
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=3e-3)
    losses = []
    for _ in range(60):
        loss, own = head.loss(encoder(**given), given)  # type: ignore[arg-type]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.4 * losses[0]
    assert float(own["activity"]) < 0.7 and float(own["torso_speed"]) < 0.15
    assert set(own) == {
        "activity", "people", "visibility", "modulation", "snr", "distance",
        "torso_speed", "limb_speed", "lift_speed", "path_speed",
    }  # fmt: skip
