"""Self-training: what it gains under drift, and which rows of an evaluation it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foundation.adapt import fit_weighted, stacking_weights
from foundation.config import EvaluateRecipe
from foundation.data.origins import Origin
from foundation.errors import RecipeError
from foundation.evaluate.baselines.coral import standardise
from foundation.evaluate.baselines.self_training import self_trained
from foundation.evaluate.run import evaluate
from foundation.results.tables import pivot

SESSIONS = [Origin("", "", "", f"s{i % 4}") for i in range(120)]


def _arcs(turned: float, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Three classes, an arc of a circle each, the circle turned: across a boundary an arc is still one arc."""
    rng = np.random.default_rng(seed)
    targets = np.arange(len(SESSIONS)) % 3
    angle = (targets + rng.uniform(-0.25, 0.25, len(targets))) * 2 * np.pi / 3 + turned
    places = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    places = standardise(places + 0.05 * rng.standard_normal(places.shape))
    return {"places": places.astype(np.float32)}, targets


def test_what_has_crossed_a_boundary_is_told_by_what_lies_beside_it() -> None:
    train, targets = _arcs(0.0, 0)
    gained = []
    for seed in (10, 11, 12):
        test, truth = _arcs(0.7, seed)
        weights = stacking_weights(train, targets, 3, SESSIONS, 0)
        before = fit_weighted(weights, train, targets, 3, 0).predict(test).argmax(1)
        after = self_trained(weights, train, targets, test, 3, 0).argmax(1)
        gained.append((after == truth).mean() - (before == truth).mean())
    assert min(gained) > 0
    assert np.mean(gained) > 0.05


def test_a_class_without_training_samples_is_never_found_and_one_class_alone_is_refused() -> None:
    train, targets = _arcs(0.0, 0)
    test, _ = _arcs(0.1, 1)
    known, one = targets < 2, targets == 1
    sessions = [name for name, kept in zip(SESSIONS, known, strict=True) if kept]
    some = {"places": train["places"][known]}
    weights = stacking_weights(some, targets[known], 3, sessions, 0)
    assert set(self_trained(weights, some, targets[known], test, 3, 0).argmax(1)) == {0, 1}
    with pytest.raises(RecipeError, match="one class only"):
        self_trained(weights, {"places": train["places"][one]}, targets[one], test, 3, 0)


def _recipe(shards: Path, keep: Path, label: str, **changes: Any) -> EvaluateRecipe:
    fields = {
        "name": "tiny",
        "set": "simulated",
        "task": {"shards": str(shards), "label": label, "split": "room"},
        "fractions": [0.3],
        "seeds": [0],
        "cache": str(keep),
        "align": "self-training",
    }
    return EvaluateRecipe.model_validate(fields | changes)


def test_kernel_heads_have_rows_of_their_own_that_count_as_having_seen_the_test_recordings(
    trained: Path, shards_dir: Path, tmp_path: Path
) -> None:
    baselines = [{"features": "doppler", "method": name} for name in ("kernel", "logistic")]
    modes = {"checkpoint": str(trained / "model"), "modes": ["baseline", "probe", "knn"], "baselines": baselines}
    rows = evaluate(_recipe(shards_dir, tmp_path, "activity", **modes), "command")
    told = {(row.method, row.mode) for row in rows if row.has_target_data}
    assert told == {("doppler features, kernel", "baseline+self-training"), ("tiny", "probe+self-training")}
    assert {row.mode for row in rows if not row.has_target_data} == {"baseline", "probe", "knn"}
    assert sorted("WITH unlabelled test recordings" in table.title for table in pivot(rows)) == [False, True]


def test_numbers_are_refused_with_what_to_take_instead(shards_dir: Path, tmp_path: Path) -> None:
    recipe = _recipe(shards_dir, tmp_path, "position", modes=["baseline"], baselines=[{"method": "kernel"}])
    with pytest.raises(RecipeError, match="align: self-training needs classes, and 'position' is numbers; take coral"):
        evaluate(recipe, "command")
