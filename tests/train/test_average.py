"""The moving average of the weights: what checkpoints and exports hold, and exact after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny import pretrain_recipe
from helpers.weights import same_weights, weights_of
from pydantic import ValidationError

from foundation.config import PretrainRecipe
from foundation.train.module import PretrainModule
from foundation.train.pretrain import pretrain

DECAY = 0.7


def _recipe(shards: Path, out: Path, **train: Any) -> PretrainRecipe:
    return pretrain_recipe(shards, out, steps=6, checkpoint_every=3, ema=DECAY, **train)


def test_checkpoints_hold_the_average_and_a_resumed_run_goes_on_to_the_bit(
    shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, seen = PretrainModule.optimizer_step, list[dict[str, torch.Tensor]]()

    def remember(self: PretrainModule, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        seen.append({name: value.detach().clone() for name, value in self.model.state_dict().items()})

    with monkeypatch.context() as patch:
        patch.setattr(PretrainModule, "optimizer_step", remember)
        pretrain(_recipe(shards_dir, tmp_path / "whole"))
    average = dict(seen[0])
    for weights in seen[1:]:
        average = {name: DECAY * average[name] + (1 - DECAY) * value for name, value in weights.items()}
    held = weights_of(tmp_path / "whole")
    assert not same_weights(held, seen[-1])
    for name, value in held.items():
        torch.testing.assert_close(value, average[name], atol=1e-6, rtol=1e-5)
    stopped = tmp_path / "stopped"
    pretrain(_recipe(shards_dir, stopped))
    for name in ("final.ckpt", "step=6.ckpt"):
        (stopped / "checkpoints" / name).unlink()
    pretrain(_recipe(shards_dir, stopped))
    assert same_weights(weights_of(stopped), held)


def test_zero_has_no_whole_weights_to_average(shards_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="take strategy ddp, not zero-2"):
        PretrainRecipe.model_validate(
            {**_recipe(shards_dir, tmp_path).model_dump(), "train": {"steps": 1, "ema": 0.9, "strategy": "zero-2"}}
        )
