"""The auto classes of transformers in a fresh process, and the feature extractor that lies beside a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.signals import make_signal, mixed_signals, tiny_config
from helpers.tiny import environment, python

import foundation
from foundation.checkpoints.feature_extractor import SPEC, WfmFeatureExtractor
from foundation.data.tokens import tokenize
from foundation.errors import CheckpointError, SignalError
from foundation.released import FOLDER

OFFLINE = {**environment(), "HF_HUB_OFFLINE": "1"}


@pytest.mark.parametrize("name", ["AutoConfig", "AutoFeatureExtractor", "AutoModel", "AutoModelForPreTraining"])
def test_every_auto_class_knows_a_released_name_from_anywhere(name: str, tmp_path: Path) -> None:
    code = f"""
import foundation
from transformers import {name}
print(type({name}.from_pretrained("wfm-small")).__module__)
"""
    assert python(code, env=OFFLINE, cwd=tmp_path).split()[-1].startswith("foundation.")


def test_the_order_of_imports_does_not_matter(tmp_path: Path) -> None:
    code = """
import transformers.modeling_utils, transformers.pipelines
import foundation
from transformers import AutoModel
model = AutoModel.from_pretrained("wfm-small")
assert model.name_or_path == model.config.name_or_path == "wfm-small"
assert type(AutoModel.from_config(model.config)) is type(model)
"""
    python(code, env=OFFLINE, cwd=tmp_path)


def test_a_folder_of_ones_own_has_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wfm-small").mkdir()
    (tmp_path / "wfm-small" / "config.json").write_text('{"model_type": "wfm"}')
    monkeypatch.chdir(tmp_path)
    from transformers import AutoModel

    with pytest.raises(CheckpointError, match=r"wfm-small/model\.safetensors: cannot be read"):
        AutoModel.from_pretrained("wfm-small")


def test_the_feature_extractor_tokenises_and_is_saved(tmp_path: Path) -> None:
    config = tiny_config()
    WfmFeatureExtractor.of(config).save_pretrained(tmp_path)
    extract = WfmFeatureExtractor.from_pretrained(tmp_path)
    assert all(getattr(extract, name) == getattr(config, name) for name in SPEC)
    expected = tokenize(mixed_signals(), config)
    found = extract(mixed_signals())
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) or name in ("radio", "facts") for name, value in expected.items())
    assert isinstance(extract(make_signal(0), return_tensors="np")["values"], np.ndarray)
    with pytest.raises(SignalError, match="expected 'pt' or 'np'"):
        extract(make_signal(0), return_tensors="tf")
    with pytest.raises(SignalError, match="no signals"):
        extract([])


def test_numbers_stay_in_single_precision_under_to() -> None:
    batch = WfmFeatureExtractor.of(tiny_config())(make_signal(0))
    position = batch["position"].clone()
    for moved in (batch.to("cpu", torch.float16), batch.to(torch.bfloat16), batch.to(dtype=torch.float16)):
        assert torch.equal(moved["position"], position)
    assert batch.to("meta")["values"].is_meta
    assert batch.to(device="meta", dtype=torch.float16)["values"].dtype == torch.float32


@pytest.mark.parametrize("changes", [{"auto_map": {}}, {"links": -1}, {"views": 3}, {"patch_shapes": "x"}])
def test_a_changed_feature_extractor_is_refused(changes: dict, tmp_path: Path) -> None:
    WfmFeatureExtractor.of(tiny_config()).save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(CheckpointError, match=next(iter(changes))):
        WfmFeatureExtractor.from_pretrained(tmp_path)


def test_the_released_feature_extractor_is_that_of_its_model() -> None:
    extract = WfmFeatureExtractor.from_pretrained(FOLDER / "wfm-small")
    config = foundation.load("wfm-small").config
    assert all(getattr(extract, name) == getattr(config, name) for name in SPEC)


def test_one_signal_is_tokenised_like_a_list_of_one() -> None:
    one, many = tokenize(make_signal(0), tiny_config()), tokenize([make_signal(0)], tiny_config())
    assert all(torch.equal(one[name], many[name]) for name in many if name != "facts")
