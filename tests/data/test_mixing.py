"""One untrained network takes one batch of all kinds: simulated ones, and those of the real sets."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from foundation.data.tokens import tokenize
from foundation.datasets import open_dataset
from foundation.generate import impute, sample_like
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.nn.masks import draw_mask
from foundation.objectives import MaskedObjective
from foundation.signal import KINDS, Signal
from foundation.simulate.corpus import corpus

#: Real sets that are read in a second, of different kinds and shapes.
REAL = ("stability-csi-har", "polyu-csi-ips", "csu-indoorloc-nexmon", "radhar", "ble-rss-fingerprints", "uwb-cirs-2018")


def _model() -> WfmForMaskedModeling:
    """The default patches and views, little else."""
    torch.manual_seed(0)
    small = {"hidden_size": 32, "depth": 2, "heads": 2, "decoder_size": 32, "decoder_depth": 1, "decoder_heads": 2}
    return WfmForMaskedModeling(WfmConfig(**small))


@pytest.fixture(scope="module")
def simulated() -> list[Signal]:
    """Two signals of every kind, from different sessions."""
    found: dict[str, list[Signal]] = {kind: [] for kind in KINDS}
    for signal in itertools.islice(corpus(400, seed=4), 0, None, 4):
        if len(found[signal.kind]) < 2:
            found[signal.kind].append(signal)
        if all(len(signals) == 2 for signals in found.values()):
            break
    return [signal for signals in found.values() for signal in signals]


def _loss_falls(signals: list[Signal], steps: int = 15) -> None:
    """On the same masks before and after: from mask to mask the loss differs more than a few steps can change it."""
    model = _model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batch, objective = tokenize(signals, model.config), MaskedObjective()

    @torch.no_grad()
    def loss_on_fixed_masks() -> float:
        return float(np.mean([objective(model, batch, torch.Generator().manual_seed(s))[0] for s in range(4)]))

    before, generator = loss_on_fixed_masks(), torch.Generator().manual_seed(100)
    for _ in range(steps):
        loss, _ = objective(model, batch, generator)
        optimizer.zero_grad()
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert loss_on_fixed_masks() < 0.9 * before


def test_pretraining_on_one_batch_of_all_kinds_learns(simulated: list[Signal]) -> None:
    assert [signal.kind for signal in simulated] == [kind for kind in KINDS for _ in range(2)]
    _loss_falls(simulated)


@torch.no_grad()
def test_a_signal_alone_and_among_all_kinds_has_one_representation(simulated: list[Signal]) -> None:
    """Padding to the longest sample, and the other kinds, change nothing: neither latents nor what is imputed in."""
    model = _model().eval()
    batch = tokenize(simulated, model.config)
    candidates = batch["observed"].any(-1)
    visible = draw_mask(
        batch["grid"], candidates, batch["static"], (0.5, 0.5), {"random": 1.0}, torch.Generator().manual_seed(1)
    )
    latents, imputed = model.encoder(**batch).last_hidden_state, model.reconstruct(visible, **batch)
    for row, signal in enumerate(simulated):
        alone = tokenize([signal], model.config)
        count = alone["exists"].shape[1]
        assert batch["exists"][row].sum() == count
        mine = model.encoder(**alone).last_hidden_state[0]
        torch.testing.assert_close(latents[row, : len(mine)], mine, atol=2e-5, rtol=1e-4)
        single = model.reconstruct(visible[row : row + 1, :count], **alone)[0]
        torch.testing.assert_close(imputed[row, :count], single, atol=1e-4 * float(single.abs().max()), rtol=1e-4)


def test_every_kind_is_generated_with_its_axes(simulated: list[Signal]) -> None:
    model = _model().eval()
    torch.nn.init.normal_(model.decoder.noisy.values.weight)  # 0 says that it was not trained to denoise
    made = sample_like(model, simulated, torch.Generator().manual_seed(0), steps=2)
    for template, signal in zip(simulated, made, strict=True):
        assert signal.values.shape == template.values.shape
        assert np.array_equal(signal.response, template.response)
        assert np.isfinite(signal.values).all()
        if signal.values[0, 0].size > 1 or len(signal.time_s) > 1:  # else it is the gain of its link, which is given
            assert np.any(signal.values[template.mask] != template.values[template.mask])
        assert signal.kind in (template.kind, "csi-amplitude")


def test_what_is_filled_into_a_real_signal_is_real(simulated: list[Signal]) -> None:
    real = [signal for signal in simulated if signal.is_real]
    assert {"rssi", "radar", "spectrogram"} <= {signal.kind for signal in real}
    for imputed in impute(_model().eval(), real, "random", torch.Generator().manual_seed(0)):
        assert not imputed.prediction.imag.any(), "an error is taken on the whole of it"


@pytest.mark.real
def test_real_sets_and_simulated_kinds_share_a_batch(data_root: Path, simulated: list[Signal]) -> None:
    real = [
        signal
        for name in REAL
        for _, signal in itertools.islice(open_dataset(name, raw=data_root / name).pieces[0](), 0, 40, 20)
    ]
    assert {signal.kind for signal in real} == {"csi", "csi-amplitude", "radar", "rssi", "cir"}
    _loss_falls(real)
    model = _model()
    loss, _ = MaskedObjective()(model, tokenize([*real, *simulated], model.config), torch.Generator())
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
