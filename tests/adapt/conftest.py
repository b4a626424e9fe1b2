"""A LoRA adapter fitted to tiny shards, once for all tests of adaptation."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.adapters import fit_tiny

from foundation.adapt import save_adapter
from foundation.adapt.adapter_files import weights_hash
from foundation.checkpoints.load import load_encoder
from foundation.data.labelled import Target, TokenSet
from foundation.data.shards.corpus import read_part
from foundation.models import TaskModel


@pytest.fixture(scope="session")
def signals(shards_dir: Path) -> list:
    return read_part(shards_dir, "recording", "test")


@pytest.fixture(scope="session")
def data(signals: list, trained: Path) -> TokenSet:
    return TokenSet(signals, load_encoder(trained / "model").config)


@pytest.fixture(scope="session")
def target(signals: list) -> Target:
    return Target.of(signals, "activity")


@pytest.fixture(scope="session")
def fitted(trained: Path, data: TokenSet, target: Target) -> TaskModel:
    return fit_tiny(load_encoder(trained / "model"), data, target)


@pytest.fixture
def saved(fitted: TaskModel, trained: Path, target: Target, tmp_path: Path) -> Path:
    base = trained / "model"
    save_adapter(fitted, target, str(base), weights_hash(load_encoder(base)), tmp_path / "adapter")
    return tmp_path / "adapter"
