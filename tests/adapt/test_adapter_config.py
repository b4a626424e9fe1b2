"""Adapters from elsewhere: other names, kinds, ranks, patterns and classes are refused; PEFT alone finds the base."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.signals import make_signal, tiny_config
from helpers.tiny import environment, python
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

import foundation
from foundation.adapt import load_adapter, save_adapter
from foundation.adapt.adapter_files import weights_hash
from foundation.adapt.lora import LORA_MODULES
from foundation.checkpoints.load import load_encoder
from foundation.data.labelled import Target
from foundation.errors import CheckpointError
from foundation.models import KernelHead, StackedHead, TaskModel, WfmModel

State = dict[str, torch.Tensor]


def made(encoder: WfmModel) -> TaskModel:
    """A task model whose adapter and head are random."""
    torch.manual_seed(0)
    network = get_peft_model(copy.deepcopy(encoder), LoraConfig(r=4, lora_alpha=8, target_modules=LORA_MODULES))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
    size = 2 * encoder.config.hidden_size
    head = KernelHead.fitted(torch.randn(20, size), torch.arange(20) % 3, 3, 0, 0.1, 1.0)
    return TaskModel(network, StackedHead.of([(head, 0, 1.0)]), "context").eval()


@pytest.fixture(scope="module")
def encoder() -> WfmModel:
    torch.manual_seed(1)
    return WfmModel(tiny_config()).eval()


@pytest.fixture
def folder(encoder: WfmModel, tmp_path: Path) -> Path:
    target = Target("activity", ("a", "b", "c"), 3)
    save_adapter(made(encoder), target, "wfm-small", weights_hash(encoder), tmp_path / "adapter")
    return tmp_path / "adapter"


def refused(folder: Path, encoder: WfmModel, match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        load_adapter(folder, copy.deepcopy(encoder))


@torch.no_grad()
def test_it_predicts_the_same_and_half_precision_agrees(folder: Path, encoder: WfmModel) -> None:
    batch = foundation.tokenize(make_signal(0), encoder.config)
    loaded = load_adapter(folder, copy.deepcopy(encoder)).model
    expected = made(encoder)(**batch)
    assert torch.equal(loaded(**batch), expected)
    torch.testing.assert_close(loaded.half()(**batch).float(), expected, rtol=0.02, atol=0.02)


def test_files_have_the_mode_that_the_user_asked_for(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    assert {path.stat().st_mode for path in folder.iterdir()} == {(tmp_path / "plain").stat().st_mode}


def prefixed(state: State) -> State:
    return {name.replace("base_model.model.", "base_model.model.encoder."): value for name, value in state.items()}


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("adapter_model", prefixed, "lacks 8 of 8 weights"),
        ("adapter_model", lambda s: {k: v for k, v in s.items() if "lora_B" not in k}, "lacks 4 of 8 weights"),
        ("adapter_model", lambda s: {**s, "base_model.model.norm.weight": torch.ones(3)}, "1 unknown weights"),
        ("adapter_model", lambda s: {k: v * torch.nan for k, v in s.items()}, "not finite"),
        ("adapter_model", lambda s: {k: v[:2] for k, v in s.items()}, "has shape"),
        ("head", lambda s: {k: v for k, v in s.items() if k != "share"}, "not a head of this version"),
        ("head", lambda s: {**s, "more": torch.zeros(1)}, "not a head of this version"),
        ("head", lambda s: {**s, "start": s["start"] - 9}, "not a head of this version"),
        ("head", lambda s: {**s, "parts.0.mean": s["parts.0.mean"].long()}, "not a head of this version"),
        ("head", lambda s: {**s, "parts.0.mean": s["parts.0.mean"] / 0}, "not finite"),
    ],
    ids=["other names", "only lora_A", "unknown", "nan", "other rank", "no share", "more", "start", "integers", "inf"],
)
def test_weights_that_do_not_all_have_a_place_are_refused(
    folder: Path, encoder: WfmModel, name: str, change: Callable[[State], State], match: str
) -> None:
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in change(load_file(path)).items()}, path)
    refused(folder, encoder, match)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("adapter_config", {"peft_type": "LOHA"}),
        ("adapter_config", {"target_modules": ".*"}),
        ("adapter_config", {"target_modules": ["qkv", "project"]}),
        ("adapter_config", {"r": 10**9}),
        ("adapter_config", {"r": True}),
        ("adapter_config", {"lora_alpha": float("inf")}),
        ("adapter_config", {"rank_pattern": {".*": 64}}),
        ("adapter_config", {"modules_to_save": ["tokenizer"]}),
        ("adapter_config", {"auto_mapping": {"base_model_class": "system", "parent_library": "os"}}),
        ("adapter_config", {"use_dora": True}),
        ("adapter_config", {"of_another_version": "on"}),
        ("task", {"classes": ["a", "b"]}),
        ("task", {"classes": ["a", "b", "b"]}),
        ("task", {"classes": None, "size": 2}),
        ("task", {"pooling": "columns+../x"}),
        ("task", {"size": 10**12}),
        ("task", {"label": 3}),
        ("task", {"more": 1}),
    ],
    ids=lambda value: "-".join(f"{k}" for k in value) if isinstance(value, dict) else "",
)
def test_settings_that_this_library_never_writes_are_refused(
    folder: Path, encoder: WfmModel, file: str, changes: dict[str, Any]
) -> None:
    path = folder / f"{file}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    refused(folder, encoder, "adapter" if "size" not in changes or changes["size"] > 9 else "not a head")


def test_auto_peft_model_finds_the_released_base(tmp_path: Path) -> None:
    base = load_encoder("wfm-small")
    model = made(base)
    save_adapter(model, Target("activity", ("a", "b", "c"), 3), "wfm-small", weights_hash(base), tmp_path / "adapter")
    batch = foundation.tokenize(make_signal(0), base.config)
    torch.save(batch, tmp_path / "batch.pt")
    code = f"""
import torch, foundation
from peft import AutoPeftModel
model = AutoPeftModel.from_pretrained({str(tmp_path / "adapter")!r}).eval()
batch = torch.load({str(tmp_path / "batch.pt")!r}, weights_only=True)
with torch.no_grad():
    torch.save(model(**batch).last_hidden_state, {str(tmp_path / "out.pt")!r})
"""
    python(code, env={**environment(), "HF_HUB_OFFLINE": "1"}, cwd=tmp_path)
    with torch.no_grad():
        expected = model.encoder(**batch).last_hidden_state
    assert torch.equal(torch.load(tmp_path / "out.pt", weights_only=True), expected)
