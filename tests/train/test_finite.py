"""On an accelerator a value that is not finite is found a step later; the step was skipped on the device meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny import pretrain_recipe
from helpers.weights import same_weights

from foundation.checkpoints.layout import FINAL
from foundation.errors import TrainingError
from foundation.objectives import MaskedObjective
from foundation.train.failed_step import replay
from foundation.train.finite import FiniteWatch
from foundation.train.module import PretrainModule
from foundation.train.pretrain import pretrain


def test_values_are_looked_at_in_their_order_and_once() -> None:
    watch, refused = FiniteWatch(), list[str]()
    for name, value in (("a", 1.0), ("b", float("nan")), ("c", float("inf"))):
        watch.add(torch.tensor(value), lambda _, name=name: refused.append(name))  # type: ignore[misc]
    watch.look()
    watch.look(wait=True)
    assert refused == ["b", "c"]


@pytest.mark.parametrize("last", [False, True])
def test_a_bad_step_is_skipped_and_named_afterwards(
    last: bool, shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an accelerator, on the CPU; the last step of a run has no step after it."""
    plain, started, losses, seen = MaskedObjective.loss, PretrainModule.on_fit_start, list[float](), list[Any]()
    bad = 6 if last else 3

    def with_a_pole(self: MaskedObjective, model: Any, batch: Any, task: Any) -> Any:
        """The loss as it is; in one step plus a root whose slope is infinite where it stands."""
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        loss, metrics = plain(self, model, batch, task)
        losses.append(loss.item())
        if len(losses) == bad:
            loss = loss + (model.decoder.predict.weight - model.decoder.predict.weight.detach()).square().sum().sqrt()
        return loss, metrics

    def watched(self: PretrainModule) -> None:
        started(self)
        self.watch = FiniteWatch()

    recipe = pretrain_recipe(shards_dir, tmp_path / "run", steps=6, checkpoint_every=100)
    with monkeypatch.context() as patch:
        patch.setattr(MaskedObjective, "loss", with_a_pole)
        patch.setattr(PretrainModule, "on_fit_start", watched)
        patch.setattr(PretrainModule, "on_train_batch_start", _after_the_next(PretrainModule.on_train_batch_start))
        with pytest.raises(TrainingError, match=f"gradient norm is nan at step {bad - 1}; .*dumps/step={bad - 1}"):
            pretrain(recipe)
    assert not (tmp_path / "run" / "checkpoints" / FINAL).exists()
    if not last:
        assert len(seen) > bad
        assert all(same_weights(seen[bad - 1], each) for each in seen[bad:]), "the step was skipped, and those after it"
        assert not same_weights(seen[bad - 2], seen[bad - 1])
    fresh = PretrainModule(recipe)
    dump = tmp_path / "run" / "dumps" / f"step={bad - 1}-batch=0.safetensors"
    assert replay(dump, fresh.model, fresh.objective).item() == losses[bad - 1]


def _after_the_next(look: Any) -> Any:
    """A device that is one step behind the host."""

    def late(self: PretrainModule, batch: Any, batch_idx: int) -> None:
        assert self.watch is not None
        newest = [self.watch._sent.pop() for _ in range(min(2, len(self.watch._sent)))]
        look(self, batch, batch_idx)
        self.watch._sent.extend(reversed(newest))

    return late
