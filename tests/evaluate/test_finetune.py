"""`finetune`: writes an adapter once, and the documented example runs with it."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.intel5300 import intel_record, random_csi, written
from helpers.tiny import snapshot, write_recipe

from foundation.adapt import load_adapter
from foundation.checkpoints.load import load_encoder
from foundation.cli import main
from foundation.config import FinetuneRecipe
from foundation.errors import SignalError
from foundation.evaluate.finetune import finetune

DOCUMENT = ROOT / "docs" / "guide" / "evaluation.md"


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


def test_an_adapter_appears_with_what_it_answers_or_not_at_all(
    trained: Path, shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it would refuse the next call, and lack what a quickstart goes on from."""
    task = {"shards": str(shards_dir), "label": "activity", "split": "room"}
    fields = {"name": "tiny", "out": str(tmp_path / "adapter"), "checkpoint": str(trained / "model"), "task": task}
    recipe = FinetuneRecipe.model_validate({**fields, "tune": {"steps": 1, "pooling": "moments"}, "fraction": 0.2})

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("foundation.evaluate.finetune.write_task_page", interrupted)
        finetune(recipe)
    assert not list(tmp_path.iterdir())
    finetune(recipe)
    assert {"task.json", "predictions.json", "report.html"} <= {path.name for path in recipe.out.iterdir()}


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
