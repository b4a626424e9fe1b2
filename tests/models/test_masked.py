"""The pretraining model: padding and hidden content have no influence; every weight learns; generation is new."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.models import build, hide
from helpers.signals import make_signal, mixed_signals, tiny_config

from foundation.data.tokens import Batch, tokenize, untokenize
from foundation.errors import CheckpointError, SignalError
from foundation.models import CONTEXT_TOKENS, WfmForMaskedModeling, pool
from foundation.models.structure import Structure
from foundation.nn.decomposition import Components
from foundation.objectives import MaskedObjective

CONFIG = tiny_config()


def _spoil(batch: Batch, visible: torch.Tensor) -> Batch:
    noise = 1e3 * torch.randn(batch["values"].shape, generator=torch.Generator().manual_seed(99))
    return {**batch, "values": torch.where(visible[..., None], batch["values"], batch["values"] + noise)}


def _alone(batch: Batch, sample: int) -> Batch:
    """One sample of a batch without its padding."""
    count = int(batch["exists"][sample].sum())
    return {
        name: tensor[sample : sample + 1, :count]
        if tensor.ndim > 1 and name != "radio"
        else tensor[sample : sample + 1]
        for name, tensor in batch.items()
    }


@torch.no_grad()
def test_padding_never_changes_an_output(model: WfmForMaskedModeling) -> None:
    batch = tokenize([*mixed_signals(), make_signal(0, times=64)], CONFIG)
    assert (~batch["exists"]).any(1).sum() >= 5
    visible = hide(batch)
    encoded = model.encoder(visible=visible, **batch)
    condition = model(visible, **batch).condition
    imputed = model.reconstruct(visible, **batch)
    pooled = pool(model.encoder, encoded, batch, "moments")
    for i in range(len(visible)):
        one = _alone(batch, i)
        count = one["exists"].shape[1]
        seen = visible[i : i + 1, :count]
        output = model.encoder(visible=seen, **one)
        length = output.last_hidden_state.shape[1]
        assert encoded.keep[i].sum() == length == CONTEXT_TOKENS + seen.sum()
        torch.testing.assert_close(
            encoded.last_hidden_state[i, :length], output.last_hidden_state[0], atol=1e-5, rtol=0
        )
        torch.testing.assert_close(condition[i, :count], model(seen, **one)[0][0], atol=1e-5, rtol=0)
        torch.testing.assert_close(imputed[i, :count], model.reconstruct(seen, **one)[0], atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(pooled[i], pool(model.encoder, output, one, "moments")[0], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["random", "time", "link", "response"])
@pytest.mark.parametrize("view", ["field", "log-amplitude"])
def test_hidden_content_never_changes_what_is_computed_from_the_visible(
    model: WfmForMaskedModeling, kind: str, view: str
) -> None:
    batch = tokenize(mixed_signals(), tiny_config(views={"csi": view, "cir": view}))
    for seed in range(5):
        visible = hide(batch, seed, kind)
        spoilt = _spoil(batch, visible)
        one, two = model.encoder(visible=visible, **batch), model.encoder(visible=visible, **spoilt)
        assert torch.equal(one.index, two.index)
        # Beyond `keep` stand hidden tokens, which nothing attends to.
        assert torch.equal(one.last_hidden_state[one.keep], two.last_hidden_state[one.keep])
        assert torch.equal(model(visible, **batch)[0], model(visible, **spoilt)[0])
        assert torch.equal(model.reconstruct(visible, **batch), model.reconstruct(visible, **spoilt))


@pytest.mark.parametrize("signals", [mixed_signals(), *([signal] for signal in mixed_signals())])
def test_every_parameter_has_a_gradient_whatever_the_batch_holds(signals: list) -> None:
    model = build()
    batch = tokenize(signals, CONFIG)
    loss, _ = MaskedObjective()(model, batch, torch.Generator().manual_seed(0))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    silent = {name for name, parameter in model.named_parameters() if not bool(parameter.grad.any())}  # type: ignore[union-attr]
    if len(signals) > 1:
        few = {n for n in silent if n.endswith(("qkv.bias", ".high.weight"))}  # of access points beyond the 64th
        # These signals are not of the simulated corpus, and not every patch shape is hidden in them.
        facts = {n for n in silent if n.startswith(("encoder.facts_head.", "spectrum_head."))}
        assert silent <= {"encoder.context.unknown"} | few | facts, silent


def test_bf16_autocast_stays_finite_and_near() -> None:
    model = build()
    batch = tokenize(mixed_signals(), CONFIG)
    objective = MaskedObjective()
    exact, _ = objective(model, batch, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = objective(model, batch, torch.Generator().manual_seed(0))
        levels = model.encoder.components(batch, batch["exists"])
        made = model.generate(torch.zeros_like(batch["exists"]), torch.Generator(), 2, levels, **batch)
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)
    assert levels.dynamic_level.dtype == torch.float32
    assert torch.isfinite(made).all()


def test_generation_is_made_of_levels_and_noise_alone(model: WfmForMaskedModeling) -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    levels = model.encoder.components(batch, batch["observed"].any(-1))
    nothing = torch.zeros_like(batch["exists"])

    def generate(values: torch.Tensor, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return model.generate(nothing, generator, 3, levels, **{**batch, "values": values})

    made = generate(batch["values"])
    assert torch.isfinite(made).all()
    assert torch.equal(made, generate(torch.randn_like(batch["values"]) * 1e3))
    assert not torch.equal(made, generate(batch["values"], seed=1))
    observed = batch["observed"] & ~batch["static"][..., None]
    spread = torch.stack([one[seen].std() for one, seen in zip(made, observed, strict=True)])
    assert (spread > 1e-3).all(), "something was generated in every sample"


def test_generation_takes_levels_but_no_content_from_its_template(model: WfmForMaskedModeling) -> None:
    batch = tokenize([make_signal(0), make_signal(1)], CONFIG)
    nothing = torch.zeros_like(batch["exists"])
    levels = model.encoder.components(batch, batch["exists"])
    swapped = replace(levels, values=torch.zeros_like(levels.values), static=torch.zeros_like(levels.static))
    one, two = (
        model.generate(nothing, torch.Generator().manual_seed(0), 2, each, **batch) for each in (levels, swapped)
    )
    assert torch.equal(one, two)


def test_a_generated_signal_has_the_requested_levels(model: WfmForMaskedModeling) -> None:
    config = tiny_config(views={"csi": "log-amplitude"})
    batch = tokenize([make_signal(0), make_signal(1)], config)
    levels = model.encoder.components(batch, batch["exists"])
    made = model.generate(torch.zeros_like(batch["exists"]), torch.Generator().manual_seed(0), 2, levels, **batch)
    own = model.encoder.components({**batch, "values": made}, batch["exists"])
    torch.testing.assert_close(own.levels(), levels.levels(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(own.gain, levels.gain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["random", "time", "link", "response"])
def test_visible_patches_come_back_as_they_were(model: WfmForMaskedModeling, kind: str) -> None:
    signals = mixed_signals()
    batch = tokenize(signals, CONFIG)
    for seed in range(5):
        visible = hide(batch, seed, kind)
        generator = torch.Generator().manual_seed(0)
        for imputed in (
            model.reconstruct(visible, **batch),
            model.generate(visible, generator, steps=2, **batch),
        ):
            kept = (visible & ~batch["static"])[..., None] & batch["observed"]
            scale = batch["values"].abs().flatten(1).amax(1)[:, None, None]
            assert ((imputed - batch["values"]).abs() / scale)[kept].max() <= 1e-5
            assert torch.isfinite(imputed).all()


def test_reconstructing_an_all_visible_signal_gives_the_signal(model: WfmForMaskedModeling) -> None:
    signal = mixed_signals()[0]
    batch = tokenize([signal], CONFIG)
    raw = model.reconstruct(batch["exists"], **batch)[0].numpy()
    np.testing.assert_allclose(untokenize(raw, signal, CONFIG), signal.values, atol=1e-5)


def test_further_tokens_reach_every_token_of_their_sample(model: WfmForMaskedModeling) -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    visible, extra = hide(batch), torch.randn(len(batch["kind"]), 3, CONFIG.decoder_size)
    other = extra.clone()
    other[1, 2] = torch.randn(CONFIG.decoder_size)
    one, two = (model(visible, extra=each, **batch).condition for each in (extra, other))
    changed = (one - two).abs().amax(-1) > 0
    assert torch.equal(changed[1], batch["exists"][1])
    assert not changed[[0, 2, 3, 4]].any()
    assert torch.isfinite(model.generate(visible, torch.Generator(), 2, extra=extra, **batch)).all()
    loss = model(extra=extra, **batch).loss
    assert torch.isfinite(loss)
    with pytest.raises(SignalError, match="extra: 3 tokens, and the batch's structure was made with 0"):
        model(visible, extra=extra, structure=Structure.of(batch), **batch)


def test_guidance_starts_from_what_is_known_of_the_levels_alone(model: WfmForMaskedModeling) -> None:
    batch = tokenize([make_signal(0), make_signal(1)], CONFIG)
    visible = hide(batch)
    levels = model.encoder.components(batch, visible)
    content = torch.where(batch["static"][..., None], levels.values, torch.randn_like(levels.values))
    other = replace(levels, values=content)

    def generate(guidance: float, given: Components) -> torch.Tensor:
        made = model.generate(visible, torch.Generator().manual_seed(0), 2, given, guidance, **batch)
        return made[(batch["exists"] & ~visible & ~batch["static"])]

    assert torch.equal(generate(0.0, levels), generate(0.0, other))
    assert not torch.equal(generate(1.0, levels), generate(1.0, other))
    assert not torch.equal(generate(2.0, levels), generate(1.0, levels))


def test_a_decoder_that_was_not_trained_to_denoise_says_so() -> None:
    model = WfmForMaskedModeling(CONFIG)
    batch = tokenize([make_signal(0)], CONFIG)
    with pytest.raises(CheckpointError, match="can impute but not generate"):
        model.generate(hide(batch), torch.Generator(), 2, **batch)
