"""Exported folders: what transformers would follow elsewhere, or fill with random weights, is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.signals import tiny_config
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining

from foundation.checkpoints.load import load_encoder
from foundation.errors import CheckpointError
from foundation.models import WfmForMaskedModeling, WfmModel

State = dict[str, torch.Tensor]
WEIGHT = "encoder.transformer.norm.weight"


@pytest.fixture
def folder(model: WfmForMaskedModeling, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "export")
    return tmp_path / "export"


def refused(folder: Path, match: str) -> None:
    for load in (AutoModel.from_pretrained, WfmModel.from_pretrained):
        with pytest.raises(CheckpointError, match=match) as caught:
            load(folder)
        assert len(str(caught.value)) < 600
        assert "\n" not in str(caught.value)


def configure(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite(folder: Path, change: Callable[[State], State]) -> None:
    path = folder / "model.safetensors"
    save_file({k: v.contiguous() for k, v in change(load_file(path)).items()}, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda w: {k: v for k, v in w.items() if k != WEIGHT}, f"lacks 1 of .* weights, first {WEIGHT}"),
        (lambda w: {**w, "encoder.more": torch.zeros(2)}, "1 unknown weights, first 'encoder.more'"),
        (lambda w: {**w, WEIGHT: torch.zeros(5)}, rf"{WEIGHT} has shape \(5,\); its configuration says \(32,\)"),
        (lambda w: {**w, WEIGHT: w[WEIGHT] * torch.nan}, f"{WEIGHT.removeprefix('encoder.')} .* not finite"),
        (lambda w: {**w, WEIGHT: w[WEIGHT].long()}, "is of type I64"),
    ],
    ids=["missing", "unknown", "shape", "nan", "integers"],
)
def test_weights_are_those_of_the_configuration(folder: Path, change: Callable[[State], State], match: str) -> None:
    rewrite(folder, change)
    refused(folder, match)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"depth": 9}, "claims 9 for depth, and its weights are those of 1"),
        ({"depth": 9_000_000}, "depth"),
        ({"decoder_depth": 3}, "claims 3 for decoder_depth"),
        ({"flow_depth": 2}, "flow_depth"),
        ({"experts": 7}, "claims 7 for experts"),
        ({"hidden_size": 64}, "configuration says"),
        ({"hidden_size": 10**12}, "export"),
        ({"hidden_size": "32"}, "hidden_size"),
        ({"depth": True}, "depth"),
        ({"patch_shapes": [[8, 4]]}, "claims 1 for patch_shapes"),
        ({"num_labels": 10**8}, "num_labels"),
        ({"id2label": {str(i): "x" for i in range(1000)}}, "id2label"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
        ({"quantization_config": {"quant_method": "x"}}, "quantization_config"),
        ({"transformers_weights": "../other.safetensors"}, "transformers_weights"),
        ({"_attn_implementation": "org/kernel"}, "_attn_implementation"),
        ({"dtype": "save"}, "dtype"),
        ({"dtype": ["float32"]}, "dtype"),
        ({"attn_implementation": []}, "attn_implementation"),
        ({"hiden_size": 32}, "did you mean 'hidden_size'"),
        ({"model_type": "bert"}, "model_type"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_every_key_of_the_configuration_has_a_type_and_bounds(folder: Path, changes: dict, match: str) -> None:
    configure(folder, **changes)
    with pytest.raises(CheckpointError, match=match):
        WfmModel.from_pretrained(folder)


def test_a_configuration_alone_is_refused_before_memory_is_taken(folder: Path) -> None:
    configure(folder, num_labels=10**8)
    with pytest.raises(CheckpointError, match="num_labels"):
        AutoConfig.from_pretrained(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"model_type": "wfm"'])
def test_a_damaged_configuration_is_named(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        WfmModel.from_pretrained(folder)


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "modeling.py", "generation_config.json", "training_args.bin", "adapter_model.safetensors"],
)
def test_files_that_no_export_has_are_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("{}")
    refused(folder, "is not part of an exported model; move it out of the folder")


def test_notes_and_hidden_files_are_not_read(folder: Path) -> None:
    (folder / "NOTES.md").write_text("mine")
    (folder / ".gitattributes").write_text("")
    assert isinstance(AutoModel.from_pretrained(folder), WfmModel)


def test_an_adapter_beside_a_model_is_not_followed(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    WfmForMaskedModeling(tiny_config()).save_pretrained(other)
    (folder / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": str(other), "peft_type": "LORA"})
    )
    refused(folder, "an adapter beside a model, which would load another one")


@pytest.mark.parametrize("first", ['"x":NaN', '"model_type":"wfm"', '"x":"\\ud800"', '"x":1e999'])
def test_a_configuration_that_only_transformers_can_parse_leads_to_no_adapter(folder: Path, first: str) -> None:
    path = folder / "config.json"
    path.write_text("{" + first + "," + path.read_text()[1:])
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere", "peft_type": "LORA"}')
    refused(folder, "an adapter beside a model, which would load another one")
    (folder / "adapter_config.json").unlink()
    refused(folder, r"config\.json: cannot be read")


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessor_config.json", "pretraining.json"])
def test_pipes_and_devices_are_not_opened(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refused(folder, "it is no regular file")
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    refused(folder, "it is no regular file")


def test_a_model_in_several_files_is_read_and_paths_in_its_index_are_not_followed(
    model: WfmForMaskedModeling, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    model.save_pretrained(folder, max_shard_size="100KB")
    assert not (folder / "model.safetensors").exists()
    again = AutoModelForPreTraining.from_pretrained(folder).state_dict()
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    first = sorted(index["weight_map"])[0]
    index["weight_map"][first] = "../" + index["weight_map"][first]
    path.write_text(json.dumps(index))
    refused(folder, r"index\.json: expected a weight_map to files called model-")


def test_an_encoder_alone_is_no_pretraining_model(model: WfmForMaskedModeling, tmp_path: Path) -> None:
    model.encoder.save_pretrained(tmp_path / "encoder")
    assert isinstance(AutoModel.from_pretrained(tmp_path / "encoder"), WfmModel)
    with pytest.raises(CheckpointError, match="holds the encoder alone"):
        AutoModelForPreTraining.from_pretrained(tmp_path / "encoder")


@pytest.mark.parametrize("source", ["runs/exprot", "./org/name", "a/b/c", "\0", "x" * 5000, "~nobody-here/x", "-a/b"])
def test_a_mistyped_path_is_named_without_asking_the_hub(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=r"no such folder; give an exported folder|no path and no name"):
        WfmModel.from_pretrained(source)


def test_a_folder_that_asks_for_tuples_serves_this_library_too(folder: Path) -> None:
    configure(folder, return_dict=False)
    assert load_encoder(folder).config.return_dict is True
    assert WfmModel.from_pretrained(folder).config.return_dict is False
