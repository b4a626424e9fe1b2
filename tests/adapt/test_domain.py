"""Domain adapters: merged, added to a task adapter, and in the table of an evaluation."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.adapters import fit_tiny

from foundation.adapt import add_domain, load_adapter, merge_domain
from foundation.adapt.adapter_files import FILES, read_lora
from foundation.adapt.compose import compose
from foundation.adapt.lora import attach
from foundation.checkpoints.load import load_encoder
from foundation.cli import main
from foundation.data.labelled import Target, TokenSet
from foundation.errors import CheckpointError
from foundation.models import TaskModel, WfmModel


@pytest.fixture
def base(trained: Path) -> WfmModel:
    return load_encoder(trained / "model")


@torch.no_grad()
def _states(encoder: torch.nn.Module, data: TokenSet) -> torch.Tensor:
    batch = TaskModel(encoder, None, "moments").inputs(data.batch(np.arange(8)))  # type: ignore[arg-type]
    return encoder(return_dict=True, **batch).last_hidden_state


def test_merged_weights_give_what_the_adapter_gives(base: WfmModel, domain: Path, data: TokenSet) -> None:
    lora = attach(copy.deepcopy(base), read_lora(domain, base), domain).eval()
    merged = _states(merge_domain(base, domain), data)
    assert torch.allclose(merged, _states(lora, data), atol=1e-5)
    assert not torch.allclose(merged, _states(base, data), atol=1e-3)


def test_a_task_fitted_to_a_domain_is_one_adapter_of_the_base(
    base: WfmModel, domain: Path, data: TokenSet, target: Target
) -> None:
    fitted = fit_tiny(merge_domain(base, domain), data, target, steps=3)
    both = add_domain(fitted, base, domain)
    inputs = both.inputs(data.batch(np.arange(8)))
    with torch.no_grad():
        assert torch.allclose(both(**inputs), fitted(**inputs), atol=1e-4)
    assert both.encoder.peft_config["default"].r == 4 + 8


def test_a_composed_adapter_is_the_sum_of_both_and_loads_on_the_base(
    base: WfmModel, saved: Path, domain: Path, data: TokenSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "both"
    assert main(["adapters", "compose", str(saved), str(domain), str(out)]) == 0
    assert "loaded again" in capsys.readouterr().out
    composed = load_adapter(out, copy.deepcopy(base)).model
    task = load_adapter(saved, copy.deepcopy(base)).model
    turned = TaskModel(attach(merge_domain(base, domain), read_lora(saved, base), saved), task.head, task.pooling)
    inputs = task.inputs(data.batch(np.arange(8)))
    with torch.no_grad():
        assert torch.allclose(composed(**inputs), turned.eval()(**inputs), atol=1e-4)
    assert (out / "content_hashes.safetensors").read_bytes() == (domain / "content_hashes.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="exists and is left alone"):
        compose(base, saved, domain, out)


def test_a_sum_that_differs_is_not_saved(
    base: WfmModel, saved: Path, domain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foundation.adapt.compose._apart", lambda *_: float("nan"))
    with pytest.raises(CheckpointError, match="so it is not saved"):
        compose(base, saved, domain, tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_an_adapter_of_another_base_is_refused(base: WfmModel, domain: Path) -> None:
    with torch.no_grad():
        next(base.parameters()).add_(1.0)
    with pytest.raises(CheckpointError, match=r"was fitted to .* other weights"):
        merge_domain(base, domain)


@pytest.mark.parametrize("name", ["domain.json", "content_hashes.safetensors", FILES[1]])
def test_a_missing_file_is_named(base: WfmModel, domain: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(domain, tmp_path / "copy")
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        merge_domain(base, folder)


def test_a_damaged_description_is_refused(base: WfmModel, domain: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(domain, tmp_path / "copy")
    facts = json.loads((folder / "domain.json").read_text())
    (folder / "domain.json").write_text(json.dumps({**facts, "steps": "many"}))
    with pytest.raises(CheckpointError, match="steps"):
        merge_domain(base, folder)


def test_adapters_are_listed_and_shown(saved: Path, domain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapters", "list", str(domain.parent)]) == 0
    assert "domain room, rank 4" in capsys.readouterr().out
    assert main(["adapters", "show", str(saved)]) == 0
    assert "kind: task" in capsys.readouterr().out
    assert main(["adapters", "list", str(saved / "nothing")]) == 2
    assert "no adapter lies here" in capsys.readouterr().err
