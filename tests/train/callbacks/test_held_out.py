"""The held-out loss: against a plain computation, the same at every look, and no influence on training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.signals import mixed_signals, tiny_config
from helpers.tiny import pretrain_recipe
from helpers.weights import same_weights, weights_of

from foundation.config import CorpusSection
from foundation.data.tokens import tokenize
from foundation.models import WfmForMaskedModeling
from foundation.models.structure import Structure
from foundation.objectives import MaskedObjective
from foundation.objectives.held_out import held_out
from foundation.train.directory.history import read_history
from foundation.train.directory.listing import find_runs
from foundation.train.directory.listing_text import runs_text
from foundation.train.pretrain import pretrain


def test_the_errors_are_those_of_a_plain_computation() -> None:
    torch.manual_seed(0)
    config = tiny_config()
    model, objective = WfmForMaskedModeling(config).eval(), MaskedObjective(generation_share=0.0, denoising_weight=0.0)
    given = []
    for seed in range(2):
        batch = dict(tokenize(mixed_signals(), config))
        batch["structure"] = Structure.of(batch)
        given.append((batch, objective.draw(batch, config, torch.Generator().manual_seed(seed))))
    found = held_out(model, given)
    with torch.no_grad():
        losses = [float(objective.loss(model, *each)[1]["mse"]) for each in given]
    weights, targets, statics = [], [], []
    for batch, task in given:
        with torch.no_grad():
            values = model(task.visible, **batch).components.values.flatten(0, 1)[task.hidden].clamp(-5, 5)
        static, observed = batch["static"].flatten()[task.hidden], batch["observed"].flatten(0, 1)[task.hidden].float()
        weights.append(observed / observed.sum(1, keepdim=True) * torch.where(static, 0.5, 1.0)[:, None])
        targets.append(values)
        statics.append(static)
    sizes = [float(weight.sum()) for weight in weights]
    assert found.loss == pytest.approx(sum(a * b for a, b in zip(losses, sizes, strict=True)) / sum(sizes), rel=1e-4)
    weight, target, static = torch.cat(weights), torch.cat(targets), torch.cat(statics)
    assert found.zero == pytest.approx(float((weight * target.square()).sum() / weight.sum()), rel=1e-4)
    left = target.clone()
    for own in (static, ~static):
        mean = (weight * target)[own].sum(0) / weight[own].sum(0).clamp(min=1e-12)
        left[own] -= mean
    assert found.mean == pytest.approx(float((weight * left.square()).sum() / weight.sum()), rel=1e-4)
    assert found.mean <= found.zero


def test_a_run_logs_it_shows_it_and_trains_as_without(shards_dir: Path, tmp_path: Path) -> None:
    section = CorpusSection.model_validate({"shards": str(shards_dir), "split": "room", "part": "test"})
    plain, looked = (pretrain_recipe(shards_dir, tmp_path / name, steps=4, log_every=1) for name in ("plain", "looked"))
    looked = looked.model_copy(update={"data": looked.data.model_copy(update={"held_out": section})})
    looked = looked.model_copy(update={"train": looked.train.model_copy(update={"held_out_every": 2})})
    pretrain(plain)
    pretrain(looked)
    assert same_weights(weights_of(plain.out), weights_of(looked.out))
    seen = [row for row in read_history(looked.out) if "held_out" in row]
    assert [row["step"] for row in seen] == [1, 3]
    assert seen[0]["held_out_zero"] == pytest.approx(seen[1]["held_out_zero"]), "the same samples and masks"
    assert seen[0]["held_out"] != seen[1]["held_out"]
    assert seen[0]["held_out/csi"] > 0
    (run,) = find_runs([looked.out])
    assert run.held_out == pytest.approx(seen[1]["held_out"])
    assert f"{run.held_out:.4g} (constant " in runs_text([run])
