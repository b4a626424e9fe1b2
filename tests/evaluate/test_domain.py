"""Evaluation and fine-tuning with a domain adapter."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from foundation.adapt import load_adapter
from foundation.checkpoints.load import load_encoder
from foundation.config import EvaluateRecipe, FinetuneRecipe
from foundation.errors import CheckpointError
from foundation.evaluate.cache import Outcomes
from foundation.evaluate.finetune import finetune
from foundation.evaluate.run import evaluate
from foundation.results.tables import pivot


def _fields(trained: Path, shards: Path, cache: Path, **changes: Any) -> dict[str, Any]:
    task = {"shards": str(shards), "label": "activity", "split": "room"}
    fields = {"name": "tiny", "set": "simulated", "checkpoint": str(trained / "model"), "task": task}
    few = {"modes": ["probe", "lora"], "fractions": [0.2], "seeds": [0], "cache": str(cache)}
    return {**fields, **few, "tune": {"steps": 2, "batch_size": 8, "pooling": "moments"}, **changes}


def test_rows_with_a_domain_adapter_stand_in_a_table_that_says_so(
    trained: Path, shards_dir: Path, domain: Path, tmp_path: Path
) -> None:
    recipe = EvaluateRecipe.model_validate(_fields(trained, shards_dir, tmp_path / "fits", domain=str(domain)))
    rows = evaluate(recipe, "command")
    found = {row.mode: row for row in rows if row.metric == "accuracy"}
    assert set(found) == {"probe", "probe+domain", "lora", "lora+domain"}
    assert [mode for mode, row in found.items() if row.has_target_data] == ["probe+domain", "lora+domain"]
    titles = [table.title for table in pivot(rows)]
    assert any("WITH unlabelled test recordings" in title for title in titles)


def test_another_domain_adapter_is_another_fit(trained: Path, shards_dir: Path, domain: Path, tmp_path: Path) -> None:
    other = shutil.copytree(domain, tmp_path / "test")
    weights = other / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    names = []
    for folder in (domain, other, tmp_path / "{part}"):
        fields = _fields(trained, shards_dir, tmp_path / "fits", domain=str(folder))
        plan = Outcomes(EvaluateRecipe.model_validate(fields)).plan()
        names.append({job.mode: path.name for path, job in plan.items()})
    assert names[0]["probe"] == names[1]["probe"]
    assert names[0]["probe+domain"] != names[1]["probe+domain"]
    assert names[1] == names[2]


def test_an_adapter_of_another_encoder_is_refused_before_any_fit(
    trained: Path, shards_dir: Path, domain: Path, tmp_path: Path
) -> None:
    fields = _fields(trained, shards_dir, tmp_path / "fits", domain=str(domain), checkpoint="wfm-small")
    with pytest.raises(CheckpointError, match="was fitted to"):
        Outcomes(EvaluateRecipe.model_validate(fields))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"domain": "runs/{room}"}, "only {split} and {part} are known in braces"),
        ({"checkpoint": None, "checkpoints": {"a": "x", "b": "y"}}, "belongs to one checkpoint"),
    ],
)
def test_what_a_domain_cannot_be_is_said(
    trained: Path, shards_dir: Path, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        EvaluateRecipe.model_validate(_fields(trained, shards_dir, tmp_path, **{"domain": "d", **changes}))


def test_a_task_adapter_fitted_to_a_domain_loads_on_the_base(
    trained: Path, shards_dir: Path, domain: Path, tmp_path: Path
) -> None:
    task = {"shards": str(shards_dir), "label": "activity", "split": "room"}
    fields = {"name": "a", "out": str(tmp_path / "a"), "checkpoint": str(trained / "model"), "task": task}
    few = {"tune": {"steps": 2, "pooling": "moments"}, "fraction": 0.2, "domain": str(domain)}
    finetune(FinetuneRecipe.model_validate({**fields, **few}))
    assert load_adapter(tmp_path / "a", load_encoder(trained / "model")).target.label == "activity"
