"""LoRA adapters: fitting leaves the base alone, and what is saved predicts the same bits in a fresh process."""

from __future__ import annotations

import ast
import copy
import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers import ROOT
from helpers.intel5300 import intel_record, random_csi, written
from helpers.tiny import python, snapshot, write_recipe
from peft import PeftModel

from foundation.adapt import fit, load_adapter, predict, save_adapter
from foundation.adapt.adapter_files import weights_hash
from foundation.adapt.fit import LORA_MODULES
from foundation.checkpoints.load import load_encoder
from foundation.cli import main
from foundation.config import FinetuneRecipe, TuneSection
from foundation.data.labelled import Target, TokenSet
from foundation.data.shards.corpus import read_part
from foundation.errors import CheckpointError, SignalError, TrainingError
from foundation.evaluate.finetune import finetune
from foundation.models import TaskModel, WfmModel

DOCUMENT = ROOT / "docs" / "evaluation.md"
TUNE = TuneSection(steps=30, batch_size=8, learning_rate=5e-3, dropout=0.1)


@pytest.fixture(scope="module")
def signals(shards_dir: Path) -> list:
    return read_part(shards_dir, "recording", "test")


@pytest.fixture(scope="module")
def data(signals: list, trained: Path) -> TokenSet:
    return TokenSet(signals, load_encoder(trained / "model").config)


@pytest.fixture(scope="module")
def target(signals: list) -> Target:
    return Target.of(signals, "activity")


def _fit(encoder: WfmModel, data: TokenSet, target: Target, mode: str = "lora", **tune: object) -> TaskModel:
    rows, targets = np.arange(len(data)), target.encode(data.signals)
    return fit(encoder, data, rows, targets, target, mode, TUNE.model_copy(update=tune), seed=0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fitted(trained: Path, data: TokenSet, target: Target) -> TaskModel:
    return _fit(load_encoder(trained / "model"), data, target)


@pytest.fixture
def saved(fitted: TaskModel, trained: Path, target: Target, tmp_path: Path) -> Path:
    base = trained / "model"
    save_adapter(fitted, target, str(base), weights_hash(load_encoder(base)), tmp_path / "adapter")
    return tmp_path / "adapter"


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


def test_lora_changes_what_the_encoder_says(fitted: TaskModel, trained: Path, data: TokenSet) -> None:
    batch = data.batch(np.arange(4))
    plain = load_encoder(trained / "model")
    with torch.no_grad():
        assert not torch.equal(fitted.encoder(**batch).last_hidden_state, plain(**batch).last_hidden_state)


def test_a_fit_that_comes_to_nothing_begins_again_more_slowly(trained: Path, data: TokenSet, target: Target) -> None:
    """Of random weights the first step may drive features away from every bump of the head."""
    encoder = load_encoder(trained / "model")
    with pytest.warns(UserWarning, match="1 times the rate; lower tune.full_learning_rate"):
        fitted = _fit(encoder, data, target, "scratch", full_learning_rate=0.02)
    slow = _fit(encoder, data, target, "scratch", full_learning_rate=0.002)
    truth = target.encode(data.signals)
    for model in (fitted, slow):
        assert (predict(model, data).argmax(1) == truth).mean() > 0.9


@pytest.mark.parametrize("mode", ["lora", "full", "scratch"])
def test_fitting_leaves_the_base_as_it_was(mode: str, trained: Path, data: TokenSet, target: Target) -> None:
    encoder = load_encoder(trained / "model")
    before = copy.deepcopy(encoder.state_dict())
    _fit(encoder, data, target, mode, steps=2)
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
        model = _fit(encoder, data, target, mode, steps=2)
        there = dict(model.encoder.transformer.named_parameters())
        assert not any(torch.equal(there[name], own[name]) for name in own if own[name].ndim == 2), mode
        far[mode] = sum(float((there[name] - own[name]).square().sum()) for name in own)
    assert far["scratch"] > 10 * far["full"]


def test_fitting_learns_the_training_labels(trained: Path, data: TokenSet, target: Target) -> None:
    truth = target.encode(data.signals)
    model = _fit(load_encoder(trained / "model"), data, target, steps=60, learning_rate=5e-3, dropout=0.0)
    majority = np.bincount(truth).max() / len(truth)
    assert (predict(model, data).argmax(1) == truth).mean() > majority + 0.15


def test_a_regression_adapter_keeps_its_scale(trained: Path, data: TokenSet, tmp_path: Path) -> None:
    labelled = [signal for signal in data.signals if "position" in signal.labels]
    places, encoder = TokenSet(labelled, data.spec), load_encoder(trained / "model")
    target = Target.of(labelled, "position")
    model = _fit(encoder, places, target)
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
    batch = data.batch(np.arange(4))
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


def test_no_signals_are_named(fitted: TaskModel, trained: Path) -> None:
    with pytest.raises(SignalError, match="predict: no signals; a recording shorter than"):
        predict(fitted, TokenSet([], load_encoder(trained / "model").config))


def test_an_existing_folder_is_refused_and_left_alone(saved: Path, fitted: TaskModel, target: Target) -> None:
    before = snapshot(saved)
    with pytest.raises(CheckpointError, match="exists and is left alone"):
        save_adapter(fitted, target, "base", "hash", saved)
    assert snapshot(saved) == before


def test_only_lora_is_saved_as_an_adapter(trained: Path, data: TokenSet, target: Target, tmp_path: Path) -> None:
    model = _fit(load_encoder(trained / "model"), data, target, "full", steps=1)
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


def test_a_diverging_fit_stops(trained: Path, data: TokenSet, target: Target) -> None:
    with pytest.raises(TrainingError, match=r"fine-tuning loss is (nan|inf) at step \d+"):
        _fit(load_encoder(trained / "model"), data, target, "full", full_learning_rate=1e30, learning_rate=1e30)


def test_the_document_tells_captures_with_a_saved_adapter(
    trained: Path, shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Intel capture has other links and subcarriers than what was fitted: a pooling must be able to tell it."""
    (text,) = re.findall(r"```python\n(from pathlib.*?load_adapter.*?)```", DOCUMENT.read_text(), re.DOTALL)
    capture = written(tmp_path / "a.dat", *(intel_record(random_csi(i, rx=1), 1000 * i) for i in range(230)))
    text = text.replace("wfm-small", str(trained / "model")).replace("capture.dat", str(capture))
    encoder, out = load_encoder(trained / "model"), {}
    for pooling in ("moments", "columns"):
        out[pooling] = tmp_path / pooling
        recipe = {
            "name": "tiny-activity",
            "out": str(out[pooling]),
            "checkpoint": str(trained / "model"),
            "task": {"shards": str(shards_dir), "label": "activity", "split": "room"},
            "tune": {"steps": 1, "batch_size": 8, "pooling": pooling},
        }
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            finetune(FinetuneRecipe.model_validate(recipe))
        assert not [each for each in caught if "vocabulary" in str(each.message)]
    exec(text.replace("runs/finetune/activity", str(out["moments"])), {})
    classes = load_adapter(out["moments"], encoder).target.classes or ()
    told = ast.literal_eval(capsys.readouterr().out.strip().splitlines()[-1])
    assert len(told) == 2
    assert set(told) <= set(classes)
    with pytest.raises(SignalError, match="other links or responses than the training samples"):
        exec(text.replace("runs/finetune/activity", str(out["columns"])), {})


def test_finetune_writes_an_adapter_once(
    trained: Path, shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = {
        "name": "tiny-activity",
        "out": str(tmp_path / "adapter"),
        "checkpoint": str(trained / "model"),
        "task": {"shards": str(shards_dir), "label": "activity", "split": "room"},
        "tune": {"steps": 6, "batch_size": 8},
    }
    config = write_recipe(tmp_path / "tune.yaml", recipe)
    assert main(["finetune", "--config", str(config)]) == 0
    assert "accuracy" in capsys.readouterr().out
    adapter = load_adapter(tmp_path / "adapter", load_encoder(trained / "model"))
    assert adapter.target.label == "activity"
    before = snapshot(tmp_path)
    assert main(["finetune", "--config", str(config)]) == 2
    assert "exists and is left alone" in capsys.readouterr().err
    assert snapshot(tmp_path) == before
