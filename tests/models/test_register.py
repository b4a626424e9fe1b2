"""Saved models: the same bits when loaded, as a whole, as an encoder, and by name in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.models import hide
from helpers.signals import mixed_signals, tiny_config
from transformers import AutoModel

from foundation.data.tokens import tokenize
from foundation.models import WfmForMaskedModeling, WfmModel

CONFIG = tiny_config()


@pytest.fixture(scope="module")
def saved(model: WfmForMaskedModeling, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    return folder


@torch.no_grad()
def test_a_saved_model_gives_the_same_bits(model: WfmForMaskedModeling, saved: Path) -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    visible = hide(batch)
    again, report = WfmForMaskedModeling.from_pretrained(saved, output_loading_info=True)
    again.eval()
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    assert {**again.config.to_diff_dict(), **CONFIG.to_diff_dict()} == again.config.to_diff_dict()
    assert torch.equal(model.reconstruct(visible, **batch), again.reconstruct(visible, **batch))
    levels = model.encoder.components(batch, visible)
    one, two = (
        each.generate(visible, torch.Generator().manual_seed(0), steps=2, levels=levels, **batch)
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
