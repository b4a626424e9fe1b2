"""Evaluation of imputation: pooled NMSE with intervals, its table, file and page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from helpers.signals import make_signal
from helpers.tiny import write_recipe

from foundation.cli import main
from foundation.config import load_recipe
from foundation.config.imputation import ImputationRecipe
from foundation.errors import RecipeError
from foundation.evaluate.imputation import METHODS, Measured, measure_imputation, windows_of_kinds
from foundation.evaluate.report.imputation_page import imputation_summary

RECIPES = ROOT / "recipes"


def _measured(sessions: int, each: int = 1) -> Measured:
    errors = {name: np.full(sessions * each, 10.0 ** -(1 + k)) for k, name in enumerate(METHODS)}
    names = tuple(f"s{i // each}" for i in range(sessions * each))
    return Measured("set", "csi", "time", errors, np.ones(sessions * each), names)


def test_decibels_are_of_sums_and_paired() -> None:
    measured = _measured(8, 2)
    assert measured.decibels("network") == pytest.approx((-10, -10, -10))
    assert measured.decibels("network", "low rank") == pytest.approx((20, 20, 20))
    uneven = Measured("set", "csi", "time", {"network": np.array([0.9, 0.1])}, np.array([1.0, 9.0]), ("a", "b"))
    assert uneven.decibels("network")[0] == pytest.approx(-10)


def test_intervals_are_over_sessions_where_there_are_enough() -> None:
    assert _measured(8, 2).over == "8 sessions"
    assert _measured(2, 3).over == "6 windows of 2 sessions"
    noisy = np.repeat(np.random.default_rng(0).random(20), 10)
    one, other = (
        Measured("set", "csi", "time", {"network": noisy}, np.ones(200), tuple(sessions))
        for sessions in (np.repeat(np.arange(20), 10).astype(str), np.arange(200).astype(str))
    )
    width = [low - high for _, low, high in (one.decibels("network"), other.decibels("network"))]
    assert width[0] < 2 * width[1], "windows of one session are alike: ten of each tell no more than one"


def test_the_summary_is_bold_where_the_network_beats_both_baselines() -> None:
    def measured(kind: str, low_rank_error: float) -> Measured:
        errors = {"network": 0.1, "linear interpolation": 0.2, "low rank": low_rank_error}
        arrays = {name: np.full(8, error) for name, error in errors.items()}
        return Measured("set", kind, "time", arrays, np.ones(8), tuple("abcdefgh"))

    table = imputation_summary([measured("csi", 0.15), measured("radar", 0.05)])
    assert table.body == (("set", "csi", "-10.0 / -7.0 / -8.2"), ("set", "radar", "-10.0 / -7.0 / -13.0"))
    assert table.best == {(0, 2)}


def test_windows_are_spread_over_kinds_and_empty_ones_left_out() -> None:
    loud = [make_signal(seed) for seed in range(6)]
    empty = make_signal(7, values=np.full((32, 2, 16), 1e-12))
    radar = [make_signal(seed, kind="radar") for seed in range(3)]
    chosen = windows_of_kinds([*loud, empty, *radar], 3)
    assert [s.session for s in chosen["csi"]] == ["session-0", "session-2", "session-5"]
    assert len(chosen["radar"]) == 3


def _recipe(trained: Path, shards: Path, part: str) -> dict[str, Any]:
    sets = [{"set": "simulated", "shards": str(shards), "split": "room", "parts": [part]}]
    return {"name": "tiny", "checkpoint": str(trained / "model"), "sets": sets, "count": 8}


def test_the_command_writes_a_table_a_file_and_a_page(
    trained: Path, shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_recipe(tmp_path / "imputation.yaml", _recipe(trained, shards_dir, "test"))
    out = ["--json", str(tmp_path / "f.json"), "--html", str(tmp_path / "f.html")]
    assert main(["evaluate", "--imputation", str(config), *out, "count=4"]) == 0
    assert "| set | kind | random mask | time mask | response mask | link mask |" in capsys.readouterr().out
    raw = json.loads((tmp_path / "f.json").read_text())
    assert raw["command"] == f"wfm evaluate --imputation {config} count=4"
    lines = {(row["mask"], row["method"]): row for row in raw["rows"]}
    assert set(lines) == {(mask, method) for mask in ("random", "time", "response", "link") for method in METHODS}
    for row in lines.values():
        mean, low, high = row["nmse_db"]
        assert row["n"] == 4 and low <= mean <= high
        if row["method"] != "network":
            apart = lines[row["mask"], "network"]["nmse_db"][0] - mean
            assert row["against"][0] == pytest.approx(apart, abs=2e-3)
    page = (tmp_path / "f.html").read_text()
    assert "low rank" in page and page.count("<img") == 2


def test_recordings_that_pretraining_saw_are_refused(trained: Path, shards_dir: Path) -> None:
    with pytest.raises(RecipeError, match="was pretrained on session"):
        measure_imputation(ImputationRecipe.model_validate(_recipe(trained, shards_dir, "train")))


def test_the_published_recipe_is_one() -> None:
    assert len(load_recipe(RECIPES / "imputation.yaml", ImputationRecipe).sets) == 8
