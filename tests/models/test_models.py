"""The network: padding and hidden content change nothing, weights travel, nothing is made of what it must not see."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.signals import make_signal, mixed_signals, tiny_config
from transformers import AutoModel

import foundation
from foundation.data.tokens import Batch, tokenize, untokenize
from foundation.models import CONTEXT_TOKENS, WfmForMaskedModeling, WfmModel, pool
from foundation.models.statistics_head import ROWS, StatisticsHead
from foundation.nn.decomposition import STATISTICS
from foundation.nn.masks import draw_mask
from foundation.objectives import MaskedObjective

CONFIG = tiny_config()


@pytest.fixture(scope="module")
def model() -> WfmForMaskedModeling:
    return build()


def build(seed: int = 0, **changes: object) -> WfmForMaskedModeling:
    """A model whose gates are open, so that every part of it acts on its output."""
    torch.manual_seed(seed)
    made = WfmForMaskedModeling(tiny_config(**changes)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def _mask(batch: Batch, seed: int = 0, kind: str = "random") -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return draw_mask(batch["grid"], batch["observed"].any(-1), batch["static"], (0.5, 0.7), {kind: 1.0}, generator)


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
    visible = _mask(batch)
    encoded = model.encoder(visible=visible, **batch)
    condition, *_ = model(visible, **batch)
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
        visible = _mask(batch, seed, kind)
        spoilt = _spoil(batch, visible)
        one, two = model.encoder(visible=visible, **batch), model.encoder(visible=visible, **spoilt)
        assert torch.equal(one.index, two.index)
        # Beyond `keep` stand hidden tokens, which nothing attends to.
        assert torch.equal(one.last_hidden_state[one.keep], two.last_hidden_state[one.keep])
        assert torch.equal(model(visible, **batch)[0], model(visible, **spoilt)[0])
        assert torch.equal(model.reconstruct(visible, **batch), model.reconstruct(visible, **spoilt))


@torch.no_grad()
def test_visible_content_does_change_the_output(model: WfmForMaskedModeling) -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    visible = _mask(batch)
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
def test_an_index_tells_which_token_stands_where(model: WfmForMaskedModeling) -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    visible = _mask(batch)
    output = model.encoder(visible=visible, **batch)
    for i in range(len(visible)):
        real = output.index[i][output.keep[i, CONTEXT_TOKENS:]]
        assert real.tolist() == visible[i].nonzero().flatten().tolist()


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
        assert silent <= {"encoder.context.unknown"} | few, silent


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


@pytest.fixture(scope="module")
def saved(model: WfmForMaskedModeling, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    return folder


@torch.no_grad()
def test_a_saved_model_gives_the_same_bits(model: WfmForMaskedModeling, saved: Path) -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    visible = _mask(batch)
    again, report = WfmForMaskedModeling.from_pretrained(saved, output_loading_info=True)
    again.eval()
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    assert {**again.config.to_diff_dict(), **CONFIG.to_diff_dict()} == again.config.to_diff_dict()
    assert torch.equal(model.reconstruct(visible, **batch), again.reconstruct(visible, **batch))
    levels = model.encoder.components(batch, visible)
    one, two = (
        each.generate(visible, torch.Generator().manual_seed(0), steps=2, flow_steps=2, levels=levels, **batch)
        for each in (model, again)
    )
    assert torch.equal(one, two)


@torch.no_grad()
def test_the_encoder_alone_loads_from_the_full_checkpoint(model: WfmForMaskedModeling, saved: Path) -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    expected = model.encoder(**batch)
    encoder, report = WfmModel.from_pretrained(saved, output_loading_info=True)
    assert not report["missing_keys"]
    for loaded in (encoder.eval(), AutoModel.from_pretrained(saved).eval()):
        assert isinstance(loaded, WfmModel)
        found = loaded(**batch)
        assert torch.equal(found.last_hidden_state, expected.last_hidden_state)


def test_auto_model_knows_the_type_in_a_fresh_process(model: WfmForMaskedModeling, saved: Path, tmp_path: Path) -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    torch.save({"batch": batch}, tmp_path / "batch.pt")
    code = (
        "import sys, torch, foundation\n"
        "from transformers import AutoModel, AutoModelForPreTraining\n"
        "batch = torch.load(sys.argv[2], weights_only=True)['batch']\n"
        "with torch.no_grad():\n"
        "    one = AutoModel.from_pretrained(sys.argv[1]).eval()(**batch).last_hidden_state\n"
        "    full = AutoModelForPreTraining.from_pretrained(sys.argv[1]).eval()\n"
        "    two = full.reconstruct(batch['exists'], **batch)\n"
        "torch.save({'one': one, 'two': two}, sys.argv[3])\n"
    )
    command = [sys.executable, "-c", code, str(saved), str(tmp_path / "batch.pt"), str(tmp_path / "out.pt")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run(command, check=True, env=environment, timeout=120)
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    with torch.no_grad():
        assert torch.equal(found["one"], model.encoder(**batch).last_hidden_state)
        assert torch.equal(found["two"], model.reconstruct(batch["exists"], **batch))


def test_bf16_autocast_stays_finite_and_near() -> None:
    model = build()
    batch = tokenize(mixed_signals(), CONFIG)
    objective = MaskedObjective()
    exact, _ = objective(model, batch, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = objective(model, batch, torch.Generator().manual_seed(0))
        levels = model.encoder.components(batch, batch["exists"])
        made = model.generate(torch.zeros_like(batch["exists"]), torch.Generator(), 2, 2, levels, **batch)
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
        return model.generate(nothing, generator, 3, 3, levels, **{**batch, "values": values})

    made = generate(batch["values"])
    assert torch.isfinite(made).all()
    assert torch.equal(made, generate(torch.randn_like(batch["values"]) * 1e3))
    assert not torch.equal(made, generate(batch["values"], seed=1))
    observed = batch["observed"] & ~batch["static"][..., None]
    spread = torch.stack([one[seen].std() for one, seen in zip(made, observed, strict=True)])
    assert (spread > 1e-3).all(), "every sample was imputed with something"


def test_generation_takes_levels_but_no_content_from_its_template(model: WfmForMaskedModeling) -> None:
    batch = tokenize([make_signal(0), make_signal(1)], CONFIG)
    nothing = torch.zeros_like(batch["exists"])
    levels = model.encoder.components(batch, batch["exists"])
    swapped = replace(levels, values=torch.zeros_like(levels.values), static=torch.zeros_like(levels.static))
    one, two = (
        model.generate(nothing, torch.Generator().manual_seed(0), 2, 2, each, **batch) for each in (levels, swapped)
    )
    assert torch.equal(one, two)


def test_a_generated_signal_has_the_levels_that_were_asked_for(model: WfmForMaskedModeling) -> None:
    config = tiny_config(views={"csi": "log-amplitude"})
    batch = tokenize([make_signal(0), make_signal(1)], config)
    levels = model.encoder.components(batch, batch["exists"])
    made = model.generate(torch.zeros_like(batch["exists"]), torch.Generator().manual_seed(0), 2, 2, levels, **batch)
    own = model.encoder.components({**batch, "values": made}, batch["exists"])
    torch.testing.assert_close(own.levels(), levels.levels(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(own.gain, levels.gain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["random", "time", "link", "response"])
def test_visible_patches_come_back_as_they_were(model: WfmForMaskedModeling, kind: str) -> None:
    signals = mixed_signals()
    batch = tokenize(signals, CONFIG)
    for seed in range(5):
        visible = _mask(batch, seed, kind)
        generator = torch.Generator().manual_seed(0)
        for imputed in (
            model.reconstruct(visible, **batch),
            model.generate(visible, generator, steps=2, flow_steps=2, **batch),
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
def test_pooling_a_snapshot_takes_its_patches_for_summaries(model: WfmForMaskedModeling) -> None:
    batch = tokenize([make_signal(0, times=1, links=2, responses=8)], CONFIG)
    output = model.encoder(**batch)
    columns = pool(model.encoder, output, batch, "columns").unflatten(1, (-1, CONFIG.hidden_size))
    torch.testing.assert_close(columns[:, :-CONTEXT_TOKENS], output.last_hidden_state[:, CONTEXT_TOKENS:])


@torch.no_grad()
@pytest.mark.parametrize("responses", [8, 11])
@pytest.mark.parametrize("kind", ["csi", "csi-amplitude"])
def test_the_account_pools_what_was_measured_column_by_column(
    model: WfmForMaskedModeling, responses: int, kind: str
) -> None:
    signals = [make_signal(i, times=16, links=2, responses=responses) for i in range(2)]
    if kind == "csi-amplitude":
        signals = [each.with_(kind=kind, values=np.abs(each.values)) for each in signals]
    batch = tokenize(signals, CONFIG)
    output = model.encoder(**batch)
    static, statistics_head = batch["static"][0], model.encoder.statistics_head
    known = statistics_head.known(batch["observed"][:, static].flatten(0, 1), batch["shape"][:, static].flatten())
    told = statistics_head(output.last_hidden_state[:, CONTEXT_TOKENS:][:, static]) * known.unflatten(0, (2, -1))
    row = dict(zip(ROWS, told.unbind(2), strict=True))
    parts = 1 if kind == "csi-amplitude" else 2  # real and imaginary
    assert (row["mean"] != 0).sum() == 2 * 2 * responses * parts
    response = pool(model.encoder, output, batch, "response").unflatten(1, (-1, 16))
    torch.testing.assert_close(response, (row["mean"] + row["gain"][:, :, :1]) * (row["mean"] != 0))
    # Of fields the level holds the gain, which must not come back.
    unit = output.components.static_level if kind == "csi-amplitude" else torch.ones(2)
    expected = torch.stack([row["deviation"], row["change"], row["trend"], row["slope"] * unit[:, None, None]], dim=2)
    torch.testing.assert_close(pool(model.encoder, output, batch, "invariant"), expected.flatten(1))


def test_what_is_told_is_learned_slot_by_slot() -> None:
    """A line through the truth itself tells it exactly, of tokens of all shapes at once."""
    statistics_head = StatisticsHead(CONFIG)
    values, gain = torch.randn(6, CONFIG.entries), torch.randn(6)
    shape = torch.tensor([0, 1, 2, 0, 1, 2])
    observed = torch.rand(6, CONFIG.entries) < 0.8
    statistics_head.forward = lambda summary: summary.unflatten(1, (len(ROWS), -1))  # type: ignore[method-assign]
    width = max(statistics_head.widths)
    truth = torch.zeros(6, len(ROWS), width)
    for row, (which, each) in enumerate(zip(shape.tolist(), values, strict=True)):
        wide = statistics_head.widths[which]
        for statistic in range(min(len(STATISTICS), len(each) // wide)):
            truth[row, statistic, :wide] = each[statistic * wide : (statistic + 1) * wide]
        truth[row, 4, : wide - 2] = truth[row, 0, 2:wide] - truth[row, 0, : wide - 2]
        truth[row, 5, 0] = gain[row]
    assert float(statistics_head.error(truth.flatten(1), values, gain, observed, shape)) == 0
    wrong = truth.clone()
    wrong[0, 0, 0] += 1
    known = statistics_head.known(observed, shape)
    expected = bool(known[0, 0, 0]) / float(known.sum())
    assert float(statistics_head.error(wrong.flatten(1), values, gain, observed, shape)) == pytest.approx(expected)


def test_pooling_a_single_token_has_a_gradient(model: WfmForMaskedModeling) -> None:
    batch = tokenize([make_signal(0, times=1, links=1, responses=4)], CONFIG)
    output = model.encoder(**batch)
    output.last_hidden_state.retain_grad()
    pool(model.encoder, output, batch, "columns").sum().backward()
    assert bool(torch.isfinite(output.last_hidden_state.grad).all())


def test_the_configuration_counts_entries_of_the_largest_patch() -> None:
    assert tiny_config(patch_shapes=[[8, 4], [1, 100]]).entries == 200
    assert tiny_config(views={"csi": "sanitized"}).views["rssi"] == "field", "other kinds keep their view"
    assert foundation.tokenize is tokenize
