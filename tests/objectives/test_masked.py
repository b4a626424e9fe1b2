"""The objective: a function of its generator, of hidden and measured entries only, and one that can be overfitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.signals import make_signal, mixed_signals, tiny_config

from foundation.data.tokens import Batch, tokenize
from foundation.models import WfmForMaskedModeling
from foundation.models.masked_loss import CLIP, STATIC_WEIGHT
from foundation.nn.denoise import Noisy
from foundation.nn.interpolation import interpolate_tokens
from foundation.nn.masks import draw_mask, has_visible_patch
from foundation.objectives import MaskedObjective

CONFIG = tiny_config()


def _model() -> WfmForMaskedModeling:
    torch.manual_seed(0)
    return WfmForMaskedModeling(CONFIG)


def _call(objective: MaskedObjective, model: WfmForMaskedModeling, batch: Batch, seed: int = 0):  # type: ignore[no-untyped-def]
    return objective(model, batch, torch.Generator().manual_seed(seed))


def _interpolated(
    model: WfmForMaskedModeling, visible: torch.Tensor, values: torch.Tensor, batch: Batch
) -> tuple[torch.Tensor, torch.Tensor]:
    return interpolate_tokens(values, batch["observed"] & visible[..., None], model.fields(batch))


def _some(batch: Batch) -> torch.Tensor:
    candidates = batch["observed"].any(-1)
    return draw_mask(
        batch["grid"], candidates, batch["static"], (0.5, 0.5), {"random": 1.0}, torch.Generator().manual_seed(0)
    )


def test_it_is_a_function_of_the_generator() -> None:
    model, batch, objective = _model(), tokenize(mixed_signals(), CONFIG), MaskedObjective()
    torch.manual_seed(1)
    one, metrics = _call(objective, model, batch)
    torch.manual_seed(2)
    two, again = _call(objective, model, batch)
    assert torch.equal(one, two)
    assert metrics.keys() == again.keys() >= {"mse", "denoising", "tokens"}
    assert all(torch.equal(metrics[name], again[name]) for name in metrics)
    assert not torch.equal(one, _call(objective, model, batch, seed=1)[0])


def test_metrics_add_up() -> None:
    model, batch = _model(), tokenize(mixed_signals(), CONFIG)
    loss, metrics = _call(MaskedObjective(denoising_weight=0.5), model, batch)
    others = sum(metrics[name] for name in ("mse", "gated", "statistics", "facts", "spectrum"))
    torch.testing.assert_close(loss.detach(), others + 0.5 * metrics["denoising"])
    assert int(metrics["tokens"]) == int(batch["observed"].any(-1).sum())
    none = {"denoising_weight": 0.0, "facts_weight": 0.0, "spectrum_weight": 0.0}
    loss, metrics = _call(MaskedObjective(**none), model, batch)
    assert torch.equal(loss.detach(), metrics["mse"] + metrics["gated"] + metrics["statistics"])
    assert not {"denoising", "facts", "spectrum"} & set(metrics)


def test_a_model_that_predicts_zero_scores_the_power_of_the_hidden_entries() -> None:
    """White noise in units of its visible level: one, whatever the gain. The scale of every reported mse."""
    model = _model()
    torch.nn.init.zeros_(model.decoder.predict.weight)
    torch.nn.init.zeros_(model.decoder.predict.bias)
    signals = [make_signal(i, times=64, links=2, responses=16) for i in range(8)]
    louder = [signal.with_(values=1e3 * signal.values) for signal in signals]
    objective = MaskedObjective(masks={"random": 1.0}, denoising_weight=0.0, ratio=(0.5, 0.5))
    for each in (signals, louder):
        _, metrics = _call(objective, model, tokenize(each, CONFIG))
        assert metrics["mse"].item() == pytest.approx(1.0, abs=0.1)


def test_entries_that_were_not_measured_do_not_count() -> None:
    model = _model()
    lost = np.ones((32, 2, 16), bool)
    lost[::3] = False
    batch = tokenize([make_signal(i, valid=lost) for i in range(4)], CONFIG)
    objective = MaskedObjective(denoising_weight=0.0)
    loss, _ = _call(objective, model, batch)
    spoilt = {**batch, "values": torch.where(batch["observed"], batch["values"], 1e3)}
    assert torch.equal(loss, _call(objective, model, spoilt)[0])


def test_a_batch_without_anything_to_hide_has_a_finite_loss() -> None:
    model = _model()
    batch = tokenize([make_signal(0, times=1, links=1, responses=8)], CONFIG)
    loss, _ = _call(MaskedObjective(), model, batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in model.parameters())


def _sines() -> Batch:
    """Phasors of one, two or three turns a patch: any visible patch tells the hidden ones."""
    time = np.arange(64)[:, None, None] / 100
    signals = []
    for i in range(8):
        phasors = np.exp(2j * np.pi * (12.5 * (1 + i % 3) * time + np.arange(8) / 16))
        signals.append(make_signal(i, times=64, links=1, responses=8, values=phasors))
    return tokenize(signals, CONFIG)


def test_the_loss_falls_when_one_batch_is_overfitted_also_under_other_masks() -> None:
    model, batch, objective = _model(), _sines(), MaskedObjective(ratio=(0.5, 0.5), masks={"random": 1.0})
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)

    @torch.no_grad()
    def score() -> tuple[float, float]:
        found = [_call(objective, model, batch, seed=1_000_000 + i)[1] for i in range(8)]
        return tuple(float(np.mean([metrics[name].item() for metrics in found])) for name in ("mse", "denoising"))  # type: ignore[return-value]

    before = score()
    for step in range(120):
        optimizer.zero_grad()
        _call(objective, model, batch, seed=step)[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    after = score()
    assert after[0] < 0.5 * before[0], (before, after)
    assert after[1] < 0.6 * before[1], (before, after)


def test_the_error_is_taken_on_hidden_measured_tokens_alone() -> None:
    model, batch = _model(), tokenize(mixed_signals(), CONFIG)
    objective = MaskedObjective(masks={"time": 1.0}, denoising_weight=0.0, generation_share=0.0, gate_share=1.0)
    _, metrics = _call(objective, model, batch)
    candidates = batch["observed"].any(-1)
    generator = torch.Generator().manual_seed(0)
    torch.rand((), generator=generator)  # the draw between imputation and generation
    visible = draw_mask(batch["grid"], candidates, batch["static"], objective.ratio, objective.masks, generator)
    with torch.no_grad():
        output = model(visible, **batch)
        condition, components = output.condition, output.components
        error = (model.decoder.predict(condition) - components.values.clamp(-CLIP, CLIP)).square()
    measured = batch["observed"].float()
    per_token = (error * measured).sum(-1) / measured.sum(-1).clamp(min=1)  # a token counts as one, large or small
    share = torch.where(batch["static"], STATIC_WEIGHT, 1.0)

    def mean_over(tokens: torch.Tensor) -> torch.Tensor:
        return (per_token * share)[tokens].sum() / share[tokens].sum()

    torch.testing.assert_close(metrics["mse"], mean_over(candidates & ~visible))
    assert abs(mean_over(candidates) - metrics["mse"]) > 1e-3
    with torch.no_grad():
        interpolated = _interpolated(model, visible, components.values, batch)
        gate = model.gate(condition, model.decoder.predict(condition), *interpolated)
        error = (gate - components.values.clamp(-CLIP, CLIP)).square()
    per_token = (error * measured).sum(-1) / measured.sum(-1).clamp(min=1)
    excluded = batch["static"] & has_visible_patch(batch["grid"], batch["static"], visible)
    torch.testing.assert_close(metrics["gated"], mean_over(candidates & ~visible & ~excluded))


def test_the_gate_has_no_gradient_in_the_encoder() -> None:
    model, batch = _model(), tokenize(mixed_signals(), CONFIG)
    visible = _some(batch)
    output = model(visible, **batch)
    condition, components = output.condition, output.components
    interpolated = _interpolated(model, visible, components.values, batch)
    model.gate(condition, model.decoder.predict(condition), *interpolated).square().sum().backward()
    learning = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learning == {"gate_logits.weight", "gate_logits.bias"}


def test_generation_is_practised_with_the_levels_of_the_whole_signal() -> None:
    model, batch = _model(), tokenize(mixed_signals(), CONFIG)
    seen = []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append((args, kwargs)), with_kwargs=True)
    for seed in range(8):
        _call(MaskedObjective(generation_share=1.0), model, batch, seed)
    whole = model.encoder.components(batch, batch["observed"].any(-1))
    for (visible,), kwargs in seen:
        assert torch.equal(kwargs["components"].levels(), whole.levels())
        assert not bool((visible.mask == batch["observed"].any(-1)).all(1).any()), "something is left to generate"
    shares = torch.cat([visible.mask.float().mean(1) for (visible,), _ in seen])
    assert shares.min() == 0
    assert shares.max() > 0.6


def test_samples_are_predicted_or_denoised_and_of_a_dropped_one_nothing_is_visible() -> None:
    batch = tokenize(mixed_signals() * 8, CONFIG)
    objective = MaskedObjective(mean_share=0.5, condition_dropout=0.25, generation_share=0.0)
    task = objective.draw({**batch}, CONFIG, torch.Generator().manual_seed(0))
    tokens = batch["static"].shape[1]
    predicted, denoised = (set((rows // tokens).tolist()) for rows in (task.hidden, task.noisy))
    assert not predicted & denoised
    assert (task.times[task.times < 1] > 0).all()
    assert task.known is not None
    dropped = task.known.any(1) & ~task.visible.mask.any(1)
    assert 4 < int(dropped.sum()) < 18
    assert set(dropped.nonzero().flatten().tolist()) <= denoised
    assert torch.equal(task.visible.mask[~dropped], task.known[~dropped])
    for sample in denoised:
        assert len(task.times[task.noisy // tokens == sample].unique()) == 1, "one noise level a sample"


def test_noise_of_one_sample_changes_nothing_of_another_and_its_tokens_see_each_other() -> None:
    model, batch = _model().eval(), tokenize([make_signal(0), make_signal(1)], CONFIG)
    torch.nn.init.normal_(model.decoder.noisy.values.weight)
    visible = _some(batch)
    rows = (batch["measured"] & ~visible).flatten().nonzero().squeeze(1)
    observed, t = batch["observed"].flatten(0, 1)[rows], torch.full((len(rows),), 0.5)
    values = torch.randn(len(rows), CONFIG.entries)
    other = values.clone()
    other[0] += 1
    one, two = (model(visible, noisy=Noisy(rows, each, observed, t), **batch).condition for each in (values, other))
    first, second = (one - two).abs().amax(-1)
    assert (first > 0).all(), "all tokens of the sample attend to the one that changed"
    assert not second.any()
