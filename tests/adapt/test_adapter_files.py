"""Adapter files: bit-equal predictions in a fresh process, PEFT alone, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers.adapters import fit_tiny
from helpers.tiny import python, snapshot
from peft import PeftModel

from foundation.adapt import load_adapter, predict, save_adapter
from foundation.adapt.adapter_files import weights_hash
from foundation.checkpoints.load import load_encoder
from foundation.data.labelled import Target, TokenSet
from foundation.errors import CheckpointError
from foundation.models import TaskModel
from foundation.nn.patches import cut


def test_a_saved_adapter_predicts_the_same_bits_in_a_fresh_process(
    saved: Path, fitted: TaskModel, data: TokenSet, trained: Path, shards_dir: Path, tmp_path: Path
) -> None:
    python(f"""
from pathlib import Path
import numpy as np
from foundation.adapt import load_adapter, predict
from foundation.cli import main
from foundation.data.labelled import TokenSet
from foundation.data.shards.corpus import read_part
from foundation.checkpoints.load import load_encoder
encoder = load_encoder({str(trained / "model")!r})
data = TokenSet(read_part(Path({str(shards_dir)!r}), "recording", "test"), encoder.config)
adapter = load_adapter(Path({str(saved)!r}), encoder)
np.save({str(tmp_path / "out.npy")!r}, predict(adapter.model, data))
""")
    expected = predict(fitted, data)
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)
    assert len(np.unique(expected.argmax(1))) > 1, "a constant prediction would prove nothing"


def test_a_regression_adapter_keeps_its_scale(trained: Path, data: TokenSet, tmp_path: Path) -> None:
    labelled = [signal for signal in data.signals if "position" in signal.labels]
    places, encoder = TokenSet(labelled, data.spec), load_encoder(trained / "model")
    target = Target.of(labelled, "position")
    model = fit_tiny(encoder, places, target)
    truth = target.encode(labelled)
    assert torch.allclose(model.head.target_mean, torch.from_numpy(truth.mean(0)))
    save_adapter(model, target, "base", weights_hash(encoder), tmp_path / "adapter")
    adapter = load_adapter(tmp_path / "adapter", encoder)
    assert (adapter.target.classes, adapter.target.size) == (None, 2)
    assert np.array_equal(predict(adapter.model, places), predict(model, places))


def test_head_and_task_lie_beside_the_adapter(saved: Path, fitted: TaskModel, target: Target) -> None:
    assert {path.name for path in saved.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "head.safetensors",
        "task.json",
    }
    head = safetensors.torch.load_file(saved / "head.safetensors")
    assert all(torch.equal(head[name], value) for name, value in fitted.head.state_dict().items())
    task = json.loads((saved / "task.json").read_text())
    assert (task["label"], tuple(task["classes"])) == ("activity", target.classes)


def test_peft_alone_loads_the_folder(saved: Path, fitted: TaskModel, trained: Path, data: TokenSet) -> None:
    alone = PeftModel.from_pretrained(load_encoder(trained / "model"), saved).eval()
    batch = cut(data.batch(np.arange(4)))
    with torch.no_grad():
        assert torch.equal(alone(**batch).last_hidden_state, fitted.encoder(**batch).last_hidden_state)


def test_another_base_is_refused(saved: Path, trained: Path) -> None:
    other = load_encoder(trained / "model")
    with torch.no_grad():
        other.transformer.state_dict()[next(iter(other.transformer.state_dict()))].add_(1e-6)
    with pytest.raises(CheckpointError, match="the given encoder has other weights or another configuration"):
        load_adapter(saved, other)


@pytest.mark.parametrize("key", ["label", "size", "pooling", "base", "base_sha256"])
def test_a_task_file_that_lacks_something_is_damaged(saved: Path, trained: Path, tmp_path: Path, key: str) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "copy"))
    task = json.loads((folder / "task.json").read_text())
    del task[key]
    (folder / "task.json").write_text(json.dumps(task))
    with pytest.raises(CheckpointError, match=f"copy: cannot be read as an adapter .*{key}"):
        load_adapter(folder, load_encoder(trained / "model"))


def test_an_existing_folder_is_refused_and_left_alone(saved: Path, fitted: TaskModel, target: Target) -> None:
    before = snapshot(saved)
    with pytest.raises(CheckpointError, match="exists and is left alone"):
        save_adapter(fitted, target, "base", "hash", saved)
    assert snapshot(saved) == before


def test_only_lora_is_saved_as_an_adapter(trained: Path, data: TokenSet, target: Target, tmp_path: Path) -> None:
    model = fit_tiny(load_encoder(trained / "model"), data, target, "full", steps=1)
    with pytest.raises(CheckpointError, match="lora"):
        save_adapter(model, target, "base", "hash", tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "head.safetensors", "task.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_folder_is_refused(name: str, damage: str, saved: Path, trained: Path) -> None:
    path = saved / name
    data = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=str(saved)):
        load_adapter(saved, load_encoder(trained / "model"))
