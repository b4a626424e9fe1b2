"""Controls: closed-form statistics, stacked hand-made features, tuned networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from foundation.config import BaselineSection, EvaluateRecipe
from foundation.evaluate.fits import Bench
from foundation.evaluate.jobs import Job, jobs_of
from foundation.evaluate.run import evaluate


def _recipe(shards: Path, keep: Path, **changes: Any) -> EvaluateRecipe:
    fields = {
        "name": "tiny",
        "set": "simulated",
        "task": {"shards": str(shards), "label": "activity", "split": "room"},
        "fractions": [1.0],
        "seeds": [0],
        "tune": {"steps": 2, "batch_size": 8},
        "cache": str(keep),
    }
    return EvaluateRecipe.model_validate(fields | changes)


def test_statistics_need_no_checkpoint_and_are_judged_as_an_encoder(shards_dir: Path, tmp_path: Path) -> None:
    align = ["coral", "self-training"]
    recipe = _recipe(shards_dir, tmp_path, modes=["statistics"], align=align, fractions=[0.3])
    rows = [row for row in evaluate(recipe, "command") if row.metric == "accuracy"]
    assert [(row.method, row.mode) for row in rows] == [
        ("closed-form statistics", mode) for mode in ("statistics", "statistics+coral", "statistics+self-training")
    ]
    assert rows[0].mean > 2 / 7, "seven activities"


def test_statistics_take_recordings_of_any_shape(shards_dir: Path, tmp_path: Path) -> None:
    recipe = _recipe(shards_dir, tmp_path, modes=["statistics"], configurations=["half-band", "rate-x0.5"])
    with pytest.warns(UserWarning, match="columns, response, invariant need windows"):
        rows = evaluate(recipe, "command")
    assert {row.split for row in rows} >= {"room @ half-band", "room @ pooled for any shape", "room @ rate-x0.5"}


def test_several_hand_made_features_are_stacked(shards_dir: Path, tmp_path: Path) -> None:
    baselines = [
        {"features": "doppler", "method": "kernel"},
        {"features": ["doppler", "invariant"], "method": "stack"},
    ]
    recipe = _recipe(
        shards_dir, tmp_path, modes=["baseline"], baselines=baselines, align="coral", tune={"augment": 0.15}
    )
    one, *_, aligned = jobs_of(recipe)
    both = Job(**{**vars(one), "method": "doppler + invariant features, stack"})
    assert (aligned.method, aligned.mode) == (both.method, "baseline+coral")
    bench = Bench(recipe, "room", one.fitted)
    assert bench.outcome(one).pooling is None, "nothing was chosen"
    found = bench.outcome(both)
    assert set(str(found.pooling).split("+")) <= {"hand-made doppler", "hand-made invariant", "leaving out each room"}
    truth, predicted, _ = found.parts["test"]
    assert np.mean(truth == predicted) > 2 / 7
    assert bench.outcome(aligned).parts["test"][1].shape == truth.shape
    with pytest.raises(ValidationError, match="method kernel takes one; take method stack"):
        BaselineSection(features=["doppler", "level"], method="kernel")
    with pytest.raises(ValidationError, match="none twice"):
        BaselineSection(features=["doppler", "doppler"], method="stack")


def test_a_tuned_network_is_chosen_without_the_test(
    shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foundation.adapt.supervised.STEPS", 2)
    recipe = _recipe(shards_dir, tmp_path, modes=["cnn"], fractions=[0.3], tune={"steps": 2, "search": 3})
    (job,) = jobs_of(recipe)
    assert job.method == "supervised CNN, best of 3"
    notes, predictions = [], []
    for turned in (False, True):
        bench = Bench(recipe, "room", job.fitted)
        if turned:  # other test recordings altogether
            signals = bench.problem.tests["test"]
            signals[:] = [each.with_(values=each.values[::-1] ** 2, clean=None) for each in signals]
        outcome = bench.outcome(job)
        notes.append(outcome.pooling)
        predictions.append(outcome.parts["test"][1])
    assert notes[0] == notes[1]
    assert str(notes[0]).startswith("rate ")
    assert not np.array_equal(*predictions)
