"""Adapters fitted to tiny shards by `wfm finetune`, once for all tests of prediction."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.config import FinetuneRecipe


def _adapter(folder: Path, trained: Path, shards: Path, label: str, pooling: str) -> Path:
    from foundation.evaluate.finetune import finetune  # it loads torch, which reads the threads that conftest.py sets

    recipe = {
        "name": label,
        "out": str(folder / label),
        "checkpoint": str(trained / "model"),
        "task": {"shards": str(shards), "label": label, "split": "room"},
        "tune": {"steps": 4, "batch_size": 8, "pooling": pooling},
        "fraction": 0.5,
    }
    finetune(FinetuneRecipe.model_validate(recipe))
    return folder / label


@pytest.fixture(scope="session")
def activity(trained: Path, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of classes that reads signals of any shape. Read, do not write."""
    return _adapter(tmp_path_factory.mktemp("adapters"), trained, shards_dir, "activity", "moments")


@pytest.fixture(scope="session")
def position(trained: Path, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of positions in metres. Read, do not write."""
    return _adapter(tmp_path_factory.mktemp("adapters"), trained, shards_dir, "position", "columns")
