"""Objectives beside masked modelling: what they compare and predict, and that no export carries what they learn."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from conftest import make_signal, mixed_signals, tiny_config
from safetensors.torch import load_file
from tiny import pretrain_recipe
from torch import Tensor, nn

from foundation.data.tokens import Batch, tokenize
from foundation.hub.export import export
from foundation.models import CONTEXT_TOKENS, WfmForMaskedModeling
from foundation.nn.masks import has_visible_patch
from foundation.objectives import MaskedObjective
from foundation.objectives.contrastive import as_another_device, contrastive_loss, projection, second_view
from foundation.objectives.latent import SPREAD, latent_loss, predictor
from foundation.recipe import PretrainRecipe
from foundation.train.module import PretrainModule
from foundation.train.run import pretrain

pytest_plugins = ["tiny"]
CONFIG = tiny_config()


def _model() -> WfmForMaskedModeling:
    torch.manual_seed(0)
    return WfmForMaskedModeling(CONFIG)


def _batch() -> Batch:
    return tokenize([make_signal(i, times=40, links=2, responses=16) for i in range(6)], CONFIG)


def _draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _visible(batch: Batch) -> Tensor:
    patches = batch["exists"] & ~batch["static"] & (torch.rand(batch["exists"].shape, generator=_draw()) < 0.4)
    return patches | (batch["static"] & has_visible_patch(batch["grid"], batch["static"], patches))


def _gradients(loss: Tensor, model: nn.Module) -> set[str]:
    model.zero_grad()
    loss.backward()
    return {name for name, x in model.named_parameters() if x.grad is not None and bool((x.grad != 0).any())}


def test_by_default_there_is_nothing_beside_the_network(tmp_path: Path) -> None:
    assert len(MaskedObjective().heads(CONFIG)) == 0
    module = PretrainModule(pretrain_recipe(tmp_path, tmp_path))
    assert all(name.startswith("model.") for name in module.state_dict())
    with_both = MaskedObjective(contrastive_weight=1, latent_weight=1).heads(CONFIG)
    assert set(with_both) == {"contrastive", "latent"}


def test_weighted_parts_add_up() -> None:
    model, batch = _model(), tokenize(mixed_signals(), CONFIG)
    objective = MaskedObjective(masked_weight=0.3, contrastive_weight=0.7, latent_weight=0.0)
    heads = objective.heads(CONFIG)
    loss, metrics = objective(model, batch, _draw(), heads)
    plain = MaskedObjective()(model, batch, _draw())[1]
    assert all(torch.equal(metrics[name], plain[name]) for name in plain), "other objectives draw behind it"
    parts = 0.3 * (plain["mse"] + plain["blended"]) + plain["sketch"] + plain["flow"] + 0.7 * metrics["contrastive"]
    torch.testing.assert_close(loss.detach(), parts)
    loss.backward()
    assert all(parameter.grad is not None for parameter in heads.parameters())


def test_views_share_no_patch_and_show_static_tokens_of_their_own_columns() -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    visible = _visible(batch)
    other = second_view(visible, batch, _draw(1))
    patches = other & ~batch["static"]
    assert not bool((patches & visible).any())
    assert not bool((other & ~batch["observed"].any(-1)).any())
    assert 0.3 < patches.sum() / (batch["observed"].any(-1) & ~visible & ~batch["static"]).sum() < 0.7
    shown = has_visible_patch(batch["grid"], batch["static"], patches)
    assert torch.equal(other & batch["static"], batch["static"] & batch["exists"] & shown)


def test_another_device_is_one_gain_for_a_column() -> None:
    for view in ("field", "log-amplitude"):
        batch = tokenize([make_signal(i, times=20, responses=8) for i in range(2)], tiny_config(views={"csi": view}))
        changed = as_another_device(batch, _draw())
        seen = batch["observed"] & ~batch["static"][..., None]
        gain = (changed - batch["values"]) if view == "log-amplitude" else (changed / batch["values"]).log()
        for sample in range(2):
            for column in range(int(batch["column"].max()) + 1):
                of_column = gain[sample][seen[sample] & (batch["column"][sample] == column)[:, None]]
                assert of_column.std() < 1e-4 < of_column.abs().mean()
        assert gain[seen].std() > 0.05


def test_samples_of_other_kinds_are_no_rivals() -> None:
    model, project = _model(), projection(CONFIG)
    batch = _batch()
    visible = _visible(batch)
    encoded = model.encoder(visible=visible, **batch)
    loss, metrics = contrastive_loss(project, model, batch, visible, encoded, _draw())
    assert 0.2 * math.log(6) < loss.item()
    batch["kind"] = torch.arange(6)
    alone, metrics = contrastive_loss(project, model, batch, visible, encoded, _draw())
    assert alone.item() == pytest.approx(0, abs=1e-6)
    assert metrics["contrastive_hits"] == 1
    assert {"encoder.transformer.norm.weight"} <= _gradients(loss, model)


def test_contrast_tells_samples_apart_when_it_is_learnt() -> None:
    model, batch, project = _model(), _batch(), projection(CONFIG)
    visible = _visible(batch)
    optimizer = torch.optim.AdamW([*model.encoder.parameters(), *project.parameters()], lr=3e-3)
    losses = []
    for step in range(40):
        encoded = model.encoder(visible=visible, **batch)
        loss, _ = contrastive_loss(project, model, batch, visible, encoded, _draw(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


def test_the_target_is_what_the_encoder_makes_of_hidden_tokens_when_it_sees_all() -> None:
    model, batch, predict = _model(), _batch(), predictor(CONFIG)
    visible = _visible(batch)
    hidden = batch["exists"] & ~visible
    whole = model.encoder.components(batch, batch["exists"])
    condition, _, encoded = model(visible, **batch)
    loss, metrics = latent_loss(predict, model, batch, hidden, whole, condition, encoded)
    latents = model.encoder(**batch).last_hidden_state[:, CONTEXT_TOKENS:]  # all are seen: in their own order
    target = nn.functional.layer_norm(latents[hidden], latents.shape[-1:])
    torch.testing.assert_close(metrics["latent"], (predict(condition[hidden]) - target).square().mean().detach())
    torch.testing.assert_close(metrics["latent_std"], target.std(0).mean().detach())
    assert 1 < metrics["latent_rank"] <= CONFIG.hidden_size
    assert {"encoder.transformer.norm.weight", "decoder.embed.weight"} <= _gradients(loss, model)


def test_latents_that_are_all_the_same_are_seen_and_cost() -> None:
    model, batch, predict = _model(), _batch(), predictor(CONFIG)
    visible = _visible(batch)
    whole = model.encoder.components(batch, batch["exists"])
    losses = []
    for scale in (1.0, 0.0):
        model.encoder.transformer.norm.weight.data.fill_(scale)
        model.encoder.transformer.norm.bias.data.copy_(torch.linspace(-1, 1, CONFIG.hidden_size))
        condition, _, encoded = model(visible, **batch)
        loss, metrics = latent_loss(predict, model, batch, batch["exists"] & ~visible, whole, condition, encoded)
        losses.append(loss.item() - metrics["latent"].item())
    assert metrics["latent_std"] < 1e-4
    assert losses[0] < 0.1 * SPREAD
    assert losses[1] == pytest.approx(SPREAD, abs=0.02)


def test_only_dynamics_are_hidden_and_asked_for() -> None:
    model, batch = _model(), tokenize(mixed_signals(), CONFIG)
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for seed in range(12):
        one, other = (
            MaskedObjective(dynamics_only=True, static_weight=weight)(model, batch, _draw(seed))[1]
            for weight in (0.1, 9.0)
        )
        assert torch.equal(one["mse"], other["mse"]), "no static token among the targets"
        patches = seen[-1] & ~batch["static"]
        given = has_visible_patch(batch["grid"], batch["static"], patches) & batch["static"] & batch["exists"]
        assert torch.equal(seen[-1] & batch["static"], given & batch["observed"].any(-1))


def test_a_run_with_all_of_them_exports_the_network_alone(shards_dir: Path, tmp_path: Path) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", steps=3)
    raw = recipe.model_dump(mode="json")
    raw["objective"] |= {"contrastive_weight": 0.5, "latent_weight": 0.5}
    run = pretrain(PretrainRecipe.model_validate(raw))
    log = next((tmp_path / "run").glob("logs/**/metrics.csv")).read_text().splitlines()[0]
    assert {"contrastive", "contrastive_hits", "latent", "latent_std", "latent_rank"} <= set(log.split(","))
    before = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    assert any(name.startswith("heads.") for name in before)
    folder = export(run.checkpoint, tmp_path / "model")
    assert (
        load_file(folder / "model.safetensors").keys()
        == WfmForMaskedModeling.from_pretrained(folder).state_dict().keys()
    )
    assert not any("heads" in name for name in load_file(folder / "model.safetensors"))
