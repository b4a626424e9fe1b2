"""The held-out masked loss: reproducible, and near 1 if nothing is predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import MODEL

from foundation.config import CorpusSection, PretrainRecipe
from foundation.data.shards.corpus import Corpus
from foundation.models import WfmForMaskedModeling
from foundation.models.config import model_config
from foundation.study.heldout import ALL, held_out_losses


def test_the_held_out_loss_is_the_same_each_time_and_one_where_nothing_is_known(shards_dir: Path) -> None:
    signals = list(Corpus(CorpusSection(shards=shards_dir, split="room", part="test", samples=70)))
    torch.manual_seed(0)
    model = WfmForMaskedModeling(model_config(PretrainRecipe.model_validate(_recipe(shards_dir)))).eval()
    found = held_out_losses(model, signals)
    torch.manual_seed(1)
    assert held_out_losses(model, signals) == found, "no draw of the caller's matters"
    torch.nn.init.zeros_(model.decoder.predict.weight)
    torch.nn.init.zeros_(model.decoder.predict.bias)
    silent = held_out_losses(model, signals)
    assert silent[ALL] == pytest.approx(np.mean([value for kind, value in silent.items() if kind != ALL]))
    assert 0.3 < silent["random"] < 3, "in units of the level of what is visible, which is that of what is hidden"


def _recipe(shards_dir: Path) -> dict[str, Any]:
    return {"name": "x", "out": "x", "data": {"shards": str(shards_dir)}, "model": MODEL, "train": {"steps": 1}}
