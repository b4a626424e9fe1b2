"""Selection of the pooling by cross-validation over training sessions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foundation.adapt.select_pooling import POOLINGS, pick_pooling, readable_poolings, requested_poolings
from foundation.checkpoints.load import load_encoder
from foundation.data.origins import Origin
from foundation.errors import RecipeError
from foundation.models import ClosedForm
from foundation.models.closed_pooling import CLOSED_POOLINGS


def test_pooling_is_the_one_that_holds_in_sessions_left_out() -> None:
    rng = np.random.default_rng(0)
    targets, sessions = np.tile([0, 1], 60), np.repeat(np.arange(6), 20)
    noise = rng.standard_normal((120, 4))
    honest = noise + 2.0 * np.eye(4)[targets]
    # Perfect within a session, of which every one has places of its own.
    learnt_by_heart = noise * 0.01 + rng.standard_normal((6, 2, 4))[sessions, targets]
    names = [Origin("", "", "", f"s{i}") for i in sessions]
    features = {"moments": learnt_by_heart.astype(np.float32), "columns": honest.astype(np.float32)}

    def picked(targets: np.ndarray, outputs: int) -> str:
        return pick_pooling(("moments", "columns"), features.__getitem__, targets, outputs, names, seed=0)[0]

    assert picked(targets, 2) == "columns"
    assert picked(targets[:, None].astype(np.float32), 1) == "columns"
    features["moments"] = features["columns"]
    assert picked(targets, 2) == "moments", "of equals the first"
    told = features["columns"]
    features["moments"] = np.concatenate([told, np.zeros_like(told)], axis=1)
    assert picked(targets, 2) == "columns", "of equals the shortest"


def test_pooling_that_cannot_be_chosen_is_noted() -> None:
    features = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    picked = pick_pooling(
        ("moments", "columns"), lambda _: features, np.array([0, 1]), 2, [Origin("", "", "", "a")] * 2, seed=0
    )
    assert picked == ("moments", "moments, too few labels to choose by")


def test_poolings_that_mixed_shapes_rule_out_are_named(trained: Path) -> None:
    spec = load_encoder(trained / "model").config
    shapes = [(64, 1, 30), (64, 3, 30)]
    assert requested_poolings("auto", iter(shapes[:1]), spec) == POOLINGS
    with pytest.warns(
        UserWarning, match=r"columns, response, invariant need windows .* ones: 64 x 1 x 30, 64 x 3 x 30"
    ):
        assert requested_poolings("auto", iter(shapes), spec) == (
            "moments",
            "context",
            "timeline",
            "facts",
            "statistics",
            "doppler",
            "envelope",
        )
    with pytest.raises(RecipeError, match=r"'columns' would need .* use moments or context or timeline or facts"):
        requested_poolings("columns", iter(shapes), spec)


def test_signals_without_dynamics_have_no_poolings_of_them(trained: Path) -> None:
    spec = load_encoder(trained / "model").config
    assert requested_poolings("auto", [(1, 2, 30)], spec) == (
        *("moments", "context", "columns", "facts"),
        *("response", "invariant", "statistics"),
    )
    with pytest.raises(RecipeError, match="'doppler' would need windows of 4 times at least, and one has 1; use"):
        requested_poolings("doppler", [(1, 2, 30)], spec)


def test_without_an_encoder_there_are_counterparts_in_closed_form(trained: Path) -> None:
    encoder = load_encoder(trained / "model")
    closed = ClosedForm(encoder.config)
    assert readable_poolings(POOLINGS, encoder) == POOLINGS
    assert set(readable_poolings(POOLINGS, closed)) == {*CLOSED_POOLINGS}
    assert readable_poolings(("moments",), closed) == ("statistics",)
    assert readable_poolings(("columns",), closed) == ("response", "invariant")
