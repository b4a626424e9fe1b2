"""A step whose loss or gradient is not finite: refused, dumped and replayed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny import pretrain_recipe
from helpers.weights import same_weights, weights_of

from foundation.checkpoints.layout import FINAL
from foundation.config import PretrainRecipe
from foundation.errors import CheckpointError, TrainingError
from foundation.objectives import MaskedObjective
from foundation.train.failed_step import replay
from foundation.train.module import PretrainModule
from foundation.train.pretrain import pretrain


def test_a_nan_loss_stops_before_the_optimizer_steps(
    shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    class StandInObjective(MaskedObjective):
        """Stands in for MaskedObjective: finite for two steps, then NaN, and remembers the weights it was given."""

        def loss(self, model: torch.nn.Module, batch: Any, task: Any) -> tuple[Any, dict[str, Any]]:
            seen.append({name: value.clone() for name, value in model.state_dict().items()})
            loss = sum(p.square().sum() for p in model.parameters())
            factor = math.nan if len(seen) == 3 else 1.0
            return loss * factor, {}

    kept: list[PretrainModule] = []
    plain = PretrainModule.__init__

    def patched(self: PretrainModule, recipe: PretrainRecipe) -> None:
        plain(self, recipe)
        self.objective = StandInObjective()  # type: ignore[assignment]
        kept.append(self)

    monkeypatch.setattr(PretrainModule, "__init__", patched)
    with pytest.raises(TrainingError, match=r"loss is nan at step 2; .*dumps/step=2-batch=0\.safetensors"):
        pretrain(pretrain_recipe(shards_dir, tmp_path / "run", checkpoint_every=1))
    assert len(seen) == 3
    assert not same_weights(seen[1], seen[2]), "the steps before must have been taken"
    assert same_weights(seen[2], kept[0].model.state_dict())
    assert not (tmp_path / "run" / "checkpoints" / FINAL).exists()
    assert same_weights(weights_of(tmp_path / "run", "step=2.ckpt"), seen[2])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_gradient_that_is_not_finite_stops_before_the_step_and_can_be_repeated(
    accumulate: int, shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, losses = MaskedObjective.loss, []

    def with_a_pole(self: MaskedObjective, model: Any, batch: Any, task: Any) -> Any:
        """From the third step on: the loss as it is, plus a root whose slope is infinite where it stands."""
        loss, metrics = plain(self, model, batch, task)
        losses.append(loss.item())
        if len(losses) > 2 * accumulate:
            weight = model.decoder.predict.weight
            loss = loss + (weight - weight.detach()).square().sum().sqrt()
        return loss, metrics

    name = f"step=2-batch={accumulate - 1}.safetensors"
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", checkpoint_every=1, accumulate=accumulate)
    with monkeypatch.context() as patch:
        patch.setattr(MaskedObjective, "loss", with_a_pole)
        with pytest.raises(TrainingError, match=f"gradient norm is nan at step 2; .*dumps/{name}"):
            pretrain(recipe)
    dump = tmp_path / "run" / "dumps" / name
    fresh = PretrainModule(recipe)
    assert replay(dump, fresh.model, fresh.objective).item() == losses[-1]
    assert same_weights(weights_of(tmp_path / "run", "step=2.ckpt"), fresh.model.state_dict()), (
        "the bad step was not taken"
    )
    with pytest.raises(CheckpointError, match="is no dump of this network"):
        replay(tmp_path / "run" / "recipe.yaml", fresh.model, fresh.objective)
