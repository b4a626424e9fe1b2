"""Expert layers: equal to the dense layer where experts are equal, balanced, and absent from a dense network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.signals import mixed_signals, tiny_config
from helpers.tiny import MODEL, pretrain_recipe
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from foundation.checkpoints.export import export
from foundation.config import ModelSection, PretrainRecipe
from foundation.data.tokens import tokenize
from foundation.models import WfmForMaskedModeling, WfmModel
from foundation.nn.blocks import Block, compile_blocks
from foundation.nn.experts import BALANCE_WEIGHT, Experts, balance_loss, watch_balance
from foundation.objectives import MaskedObjective
from foundation.objectives.flops import weights
from foundation.train.pretrain import pretrain

CONFIG = tiny_config(experts=4)


def _model() -> WfmForMaskedModeling:
    torch.manual_seed(0)
    return WfmForMaskedModeling(CONFIG)


def _loss(model: WfmForMaskedModeling, seed: int = 0) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    return MaskedObjective()(model, tokenize(mixed_signals(), CONFIG), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("active", [1, 2, 3])
def test_experts_that_are_all_alike_are_one_dense_layer(active: int) -> None:
    torch.manual_seed(0)
    layer, x = Experts(12, 5, active), torch.randn(40, 12)
    for expert in layer.experts[1:]:
        expert.load_state_dict(layer.experts[0].state_dict())
    first = layer.experts[0]
    assert first.up.out_features == 48 // active
    torch.testing.assert_close(layer(x), first.down(F.gelu(first.up(x))))
    assert layer(x[:0]).shape == (0, 12)


def test_a_token_goes_through_the_experts_that_the_router_likes_best() -> None:
    torch.manual_seed(0)
    layer, x = Experts(12, 5, 2), torch.randn(40, 12)
    likes = layer.router(x).softmax(-1)
    for row, like, out in zip(x, likes, layer(x), strict=True):
        best = like.argsort(descending=True)[:2]
        share = like[best] / like[best].sum()
        expected = sum(share[k] * layer.experts[int(i)](row[None])[0] for k, i in enumerate(best))
        torch.testing.assert_close(out, expected)


def test_balance_is_least_where_all_experts_get_as_much() -> None:
    even = torch.full((8, 4), 0.25)
    assert balance_loss(even, torch.arange(8)[:, None] % 4).item() == pytest.approx(1)
    assert balance_loss(even, torch.arange(16).view(8, 2) % 4).item() == pytest.approx(1)
    one = F.one_hot(torch.zeros(8, dtype=torch.int64), 4).float()
    assert balance_loss(one, torch.zeros(8, 1, dtype=torch.int64)).item() == pytest.approx(4)
    router = nn.Linear(6, 4, bias=False)
    x, optimizer = torch.randn(64, 6) + 1, torch.optim.Adam(router.parameters(), lr=0.05)
    losses = []
    for _ in range(100):
        likes = router(x).softmax(-1)
        loss = balance_loss(likes, likes.topk(1).indices)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 1.1 < losses[0]


@pytest.mark.parametrize("active", [1, 2])
def test_what_follows_teaches_the_router_and_every_expert_takes_part(active: int) -> None:
    torch.manual_seed(0)
    layer = Experts(12, 6, active)
    layer(torch.randn(3, 12)).square().sum().backward()
    assert layer.router.weight.grad is not None
    assert layer.router.weight.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_the_objective_balances_and_watches() -> None:
    model = _model()
    loss, metrics = _loss(model)
    with watch_balance() as found:
        model.encoder(**tokenize(mixed_signals(), CONFIG))
    assert len(found) == CONFIG.depth
    assert 0.9 < metrics["balance"] < 4
    parts = sum(metrics[name] for name in ("mse", "gated", "statistics", "facts", "spectrum", "denoising"))
    torch.testing.assert_close(loss.detach(), parts + BALANCE_WEIGHT * metrics["balance"])
    dense = WfmForMaskedModeling(tiny_config())
    assert "balance" not in _loss(dense)[1]
    assert not any("experts" in name or "router" in name for name in dense.state_dict())


def test_padding_and_other_samples_change_nothing() -> None:
    model, signals = _model().eval(), mixed_signals()
    together = model.encoder(**tokenize(signals, CONFIG))
    for i, signal in enumerate(signals):
        alone = model.encoder(**tokenize([signal], CONFIG))
        torch.testing.assert_close(
            together.last_hidden_state[i, : alone.keep.sum()], alone.last_hidden_state[0], rtol=1e-4, atol=1e-5
        )


def test_computed_twice_and_compiled_it_learns_the_same() -> None:
    gradients = []
    for way in ("plain", "twice", "compiled"):
        model = _model().train()
        model.encoder.transformer.gradient_checkpointing = way == "twice"
        if way == "compiled":
            compile_blocks(model, backend="eager")
        loss, _ = _loss(model)
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))  # type: ignore[union-attr]
    torch.testing.assert_close(gradients[1], gradients[0])
    torch.testing.assert_close(gradients[2], gradients[0])


def test_active_work_is_that_of_the_dense_layer() -> None:
    dense = weights(Block(32, 2))
    for experts, active in ((4, 1), (8, 2)):
        assert weights(Block(32, 2, experts, active)) == dense + 32 * experts  # and the router


def test_more_active_experts_than_there_are_is_an_error() -> None:
    with pytest.raises(ValidationError, match="experts_active=3 is more than there are, experts=2"):
        ModelSection(experts=2, experts_active=3)


def test_a_run_with_experts_is_exported_and_loaded(shards_dir: Path, tmp_path: Path) -> None:
    raw = pretrain_recipe(shards_dir, tmp_path / "run", steps=3, activation_checkpointing=True).model_dump(mode="json")
    raw["model"] = MODEL | {"experts": 3, "experts_active": 2}
    run = pretrain(PretrainRecipe.model_validate(raw))
    folder = export(run.checkpoint, tmp_path / "model")  # which compares outputs
    encoder = WfmModel.from_pretrained(folder)
    layers = [module for module in encoder.modules() if isinstance(module, Experts)]
    assert [(len(layer.experts), layer.active) for layer in layers] == [(3, 2)] * encoder.config.depth
