"""The masked model in transformers and PEFT: Trainer, adapters, checkpointing, types, devices, attention."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.models import build
from helpers.signals import mixed_signals, tiny_config
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel, Trainer, TrainingArguments

import foundation
from foundation.adapt.lora import LORA_MODULES
from foundation.data.tokens import Batch
from foundation.errors import CheckpointError, SignalError
from foundation.models import WfmConfig, WfmForMaskedModeling, WfmModel
from foundation.nn.blocks import Block

CONFIG = tiny_config()
LORA = LoraConfig(r=4, lora_alpha=8, target_modules=LORA_MODULES)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return foundation.tokenize(mixed_signals(), CONFIG)


@pytest.fixture(scope="module")
def folder(model: WfmForMaskedModeling, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("saved")
    model.save_pretrained(path)
    return path


def checkpointed(model: PreTrainedModel) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of its new name
        model.gradient_checkpointing_enable()
    return model


def fit(model: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Trainer:
    """A few steps of the Trainer, which evaluates once."""
    # Here tests/datasets would pass for the library of that name.
    monkeypatch.setattr("transformers.trainer.is_datasets_available", lambda: False)
    numbers = {"max_steps": 6, "per_device_train_batch_size": 8, "learning_rate": 1e-2, "logging_steps": 1}
    how = {"use_cpu": True, "report_to": [], "save_strategy": "no", "eval_strategy": "steps", "eval_steps": 6}
    signals = mixed_signals()
    trainer = Trainer(
        model,
        TrainingArguments(output_dir=str(folder), disable_tqdm=True, **numbers, **how, **options),
        train_dataset=signals,
        eval_dataset=signals[:4],
        data_collator=partial(foundation.tokenize, spec=CONFIG),
    )
    trainer.train()
    return trainer


@pytest.mark.parametrize("options", [{}, {"bf16": True}, {"gradient_accumulation_steps": 2}])
def test_the_model_learns_in_the_trainer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    model = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    history = fit(model, tmp_path, monkeypatch, **options).state.log_history
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert len(losses) == 6
    assert sum(losses[3:]) < sum(losses[:3])
    assert [entry["eval_loss"] > 0 for entry in history if "eval_loss" in entry] == [True]
    after = model.state_dict()
    changed = {name.partition(".")[0] for name in before if not torch.equal(after[name], before[name])}
    assert {"encoder", "decoder", "levels"} <= changed


def test_an_adapter_learns_in_the_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = get_peft_model(build(), LORA)
    frozen = {name: value.clone() for name, value in model.named_parameters() if not value.requires_grad}
    trainer = fit(model, tmp_path, monkeypatch)
    assert trainer.can_return_loss
    assert not trainer.model_accepts_loss_kwargs
    for name, value in model.named_parameters():
        assert name not in frozen or torch.equal(value, frozen[name]), name


@pytest.mark.parametrize("recompute", [False, True])
def test_an_adapter_overfits_one_batch_and_has_the_only_gradients(batch: Batch, recompute: bool) -> None:
    model = build().train()
    adapted = get_peft_model(checkpointed(model) if recompute else model, LORA)
    parameters = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer, losses = torch.optim.AdamW(parameters, lr=1e-2), []
    for _ in range(30):
        torch.manual_seed(0)  # the same tokens are hidden
        loss = adapted(**batch).loss
        loss.backward()
        trained = {name for name, parameter in adapted.named_parameters() if parameter.grad is not None}
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert trained
    assert all("lora_" in name for name in trained)
    assert any(name.startswith("base_model.model.decoder") for name in trained)


def test_recomputed_blocks_give_the_same_gradients(batch: Batch) -> None:
    found = []
    for prepare in (lambda model: model, checkpointed):
        model = prepare(build().train())
        torch.manual_seed(0)
        loss = model(**batch).loss
        loss.backward()
        found.append([loss, *(parameter.grad for parameter in model.parameters() if parameter.grad is not None)])
    torch.testing.assert_close(*found)
    assert model.encoder.transformer.gradient_checkpointing
    assert model.decoder.transformer.gradient_checkpointing


def test_the_loss_is_that_of_what_the_call_hid(model: WfmForMaskedModeling, batch: Batch) -> None:
    torch.manual_seed(0)
    output = model(output_hidden_states=True, **batch)
    torch.manual_seed(0)
    plain = model(return_dict=False, **batch)
    assert torch.equal(plain[0], output.loss)
    assert torch.equal(plain[1], output.condition)
    measured = batch["measured"]
    assert not (output.mask & ~measured).any()
    assert output.mask.any(1).all()
    assert (measured & ~output.mask).any(1).all()
    assert len(output.hidden_states) == CONFIG.depth + 1
    again = model(measured & ~output.mask, **batch)
    assert again.loss is None
    assert again.mask is None
    torch.testing.assert_close(again.condition, output.condition)
    assert model(return_loss=False, **batch).loss is None
    with pytest.raises(SignalError, match="lacks its input 'measured'"):
        model(**{name: value for name, value in batch.items() if name != "measured"})


def test_experts_are_balanced(batch: Batch) -> None:
    model = build(experts=3, experts_active=2).train()
    model(**batch).loss.backward()
    assert all(p.grad is not None for name, p in model.named_parameters() if "router" in name)


@pytest.mark.parametrize(
    ("asked", "found"), [(torch.bfloat16, torch.bfloat16), ("bfloat16", torch.bfloat16), ("auto", torch.float32)]
)
def test_a_type_can_be_asked_for(folder: Path, batch: Batch, asked: Any, found: torch.dtype) -> None:
    model = WfmForMaskedModeling.from_pretrained(folder, dtype=asked).train()
    assert model.dtype == found
    losses = []
    for each in (model, build().train()):
        torch.manual_seed(0)
        losses.append(each(**batch).loss)
        losses[-1].backward()
    assert losses[0].dtype == torch.float32
    torch.testing.assert_close(*losses, rtol=0.01, atol=0)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", [WfmModel, WfmForMaskedModeling])
@pytest.mark.parametrize("where", ["cpu", {"": "cpu"}, "auto"])
def test_weights_go_where_a_map_says(
    folder: Path, model: WfmForMaskedModeling, kind: type[PreTrainedModel], where: Any
) -> None:
    loaded = kind.from_pretrained(folder, device_map=where)
    whole = model if kind is WfmForMaskedModeling else model.encoder
    expected = whole.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, value in loaded.state_dict().items():
        assert torch.equal(value.cpu(), expected[name]), name
    for one, two in zip(loaded.buffers(), whole.buffers(), strict=True):
        assert torch.equal(one.cpu(), two)
    assert loaded._no_split_modules == {Block.__name__}


@pytest.mark.parametrize("name", ["eager", "flash_attention_2", "someone/kernels"])
def test_another_attention_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=f"attn_implementation may not be '{name}'.*or take 'sdpa'"):
        WfmForMaskedModeling.from_pretrained(folder, attn_implementation=name)
    with pytest.raises(CheckpointError, match="attn_implementation may not be"):
        WfmConfig(attn_implementation=name)
