"""Fine-tuning with LoRA, in full and from scratch: what it trains, what it leaves unchanged, and when it stops."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.adapters import fit_tiny

from foundation.adapt import predict
from foundation.adapt.lora import LORA_MODULES
from foundation.checkpoints.load import load_encoder
from foundation.data.labelled import Target, TokenSet
from foundation.errors import SignalError, TrainingError
from foundation.models import TaskModel
from foundation.nn.patches import cut


def test_lora_changes_what_the_encoder_says(fitted: TaskModel, trained: Path, data: TokenSet) -> None:
    batch = cut(data.batch(np.arange(4)))
    plain = load_encoder(trained / "model")
    with torch.no_grad():
        assert not torch.equal(fitted.encoder(**batch).last_hidden_state, plain(**batch).last_hidden_state)


def test_a_collapsed_fit_is_repeated_at_a_lower_rate(trained: Path, data: TokenSet, target: Target) -> None:
    """Of random weights the first step may drive features away from every kernel centre of the head."""
    encoder = load_encoder(trained / "model")
    with pytest.warns(UserWarning, match="1 times the rate; lower tune.full_learning_rate"):
        fitted = fit_tiny(encoder, data, target, "scratch", full_learning_rate=0.1, pooling="columns")
    assert (predict(fitted, data).argmax(1) == target.encode(data.signals)).mean() > 0.6


@pytest.mark.parametrize("mode", ["lora", "full", "scratch"])
def test_fitting_leaves_the_base_as_it_was(mode: str, trained: Path, data: TokenSet, target: Target) -> None:
    encoder = load_encoder(trained / "model")
    before = copy.deepcopy(encoder.state_dict())
    fit_tiny(encoder, data, target, mode, steps=2)
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_lora_trains_the_adapter_and_the_head_alone(fitted: TaskModel, trained: Path) -> None:
    trainable = {name for name, parameter in fitted.named_parameters() if parameter.requires_grad}
    assert all(".lora_" in name or name.startswith("head.") for name in trainable)
    adapted = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in trainable if ".lora_" in name}
    assert adapted == set(LORA_MODULES)
    own = load_encoder(trained / "model").state_dict()
    frozen = {
        name.removeprefix("encoder.base_model.model.").replace(".base_layer", ""): value
        for name, value in fitted.state_dict().items()
        if name.startswith("encoder.") and ".lora_" not in name
    }
    assert frozen.keys() == own.keys()
    assert all(torch.equal(frozen[name], own[name]) for name in own)


def test_full_and_scratch_train_everything_from_different_starts(trained: Path, data: TokenSet, target: Target) -> None:
    encoder = load_encoder(trained / "model")
    own = dict(encoder.transformer.named_parameters())
    far = {}
    for mode in ("full", "scratch"):
        model = fit_tiny(encoder, data, target, mode, steps=2)
        there = dict(model.encoder.transformer.named_parameters())
        assert not any(torch.equal(there[name], own[name]) for name in own if own[name].ndim == 2), mode
        far[mode] = sum(float((there[name] - own[name]).square().sum()) for name in own)
    assert far["scratch"] > 10 * far["full"]


def test_fitting_learns_the_training_labels(trained: Path, data: TokenSet, target: Target) -> None:
    truth = target.encode(data.signals)
    model = fit_tiny(load_encoder(trained / "model"), data, target, steps=60, learning_rate=5e-3, dropout=0.0)
    majority = np.bincount(truth).max() / len(truth)
    assert (predict(model, data).argmax(1) == truth).mean() > majority + 0.15


def test_no_signals_are_named(fitted: TaskModel, trained: Path) -> None:
    with pytest.raises(SignalError, match="predict: no signals; a recording shorter than"):
        predict(fitted, TokenSet([], load_encoder(trained / "model").config))


def test_a_diverging_fit_stops(trained: Path, data: TokenSet, target: Target) -> None:
    with pytest.raises(TrainingError, match=r"fine-tuning loss is (nan|inf) at step \d+"):
        fit_tiny(load_encoder(trained / "model"), data, target, "full", full_learning_rate=1e30, learning_rate=1e30)
