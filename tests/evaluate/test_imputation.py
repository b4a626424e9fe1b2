"""Baselines of imputation, and the table of what a decoder makes of hidden parts beside them."""

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
from foundation.generate import hold, interpolate, low_rank, mean_over_time
from foundation.generate.nmse import nmse

RECIPES = ROOT / "recipes"


def _matrix(rank: int, noise: float = 0.0, shape: tuple[int, int, int] = (40, 3, 16)) -> tuple[np.ndarray, np.ndarray]:
    """A complex field of this rank over (time, link x response), and what is measured of it."""
    rng = np.random.default_rng(0)

    def drawn(*size: int) -> np.ndarray:
        return rng.standard_normal(size) + 1j * rng.standard_normal(size)

    truth = (drawn(shape[0], rank) @ drawn(rank, shape[1] * shape[2])).reshape(shape) / np.sqrt(2 * rank)
    return truth.astype(np.complex64), (truth + noise * drawn(*shape)).astype(np.complex64)


def _seen(share: float, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).random(shape) < share


@pytest.mark.parametrize("axis", [0, 2])
def test_a_low_rank_field_is_completed_where_lines_know_nothing(axis: int) -> None:
    """White along every axis, so neighbours tell nothing; rank 1 along either unfolding."""
    truth, field = (np.moveaxis(x, 0, axis) for x in _matrix(1, 0.02))
    visible = _seen(0.5, truth.shape)
    errors = {method: nmse(truth, method(field, visible), ~visible) for method in (low_rank, interpolate)}
    assert errors[low_rank] < 0.01
    assert errors[interpolate] > 0.5


def test_low_rank_reads_no_hidden_entry_and_keeps_the_visible_ones() -> None:
    truth, field = _matrix(3, 0.1)
    visible = _seen(0.4, truth.shape)
    imputed = low_rank(field, visible)
    np.testing.assert_array_equal(low_rank(np.where(visible, field, 1e6), visible), imputed)
    np.testing.assert_array_equal(imputed[visible], field[visible])
    assert imputed.dtype == field.dtype


@pytest.mark.parametrize("hidden", [np.s_[10:25], np.s_[:, 1], np.s_[:, :, 4:10]], ids=["time", "link", "response"])
def test_what_is_hidden_as_a_whole_is_no_worse_than_by_lines(hidden: Any) -> None:
    """A smooth field with noise: the rank is chosen by a block of the same kind."""
    time, place = np.linspace(0, 1, 40)[:, None, None], np.linspace(0, 1, 16)
    truth = 2 + np.sin(3 * time + np.arange(3)[:, None] / 5) * np.cos(2 * place) + 0j
    visible = np.ones(truth.shape, bool)
    visible[hidden] = False
    made: dict[Any, list[float]] = {low_rank: [], interpolate: []}
    for seed in range(4):
        field = truth + 0.2 * np.random.default_rng(seed).standard_normal(truth.shape)
        for method, errors in made.items():
            errors.append(nmse(truth, method(field, visible), ~visible))
    assert np.mean(made[low_rank]) < np.mean(made[interpolate])


@pytest.mark.parametrize("shape", [(1, 1, 30), (1, 8, 1), (25, 1, 1)])
def test_a_single_row_is_filled_by_one_of_the_starts(shape: tuple[int, int, int]) -> None:
    field = np.random.default_rng(0).standard_normal(shape) + 0j
    visible = _seen(0.6, shape)
    imputed = low_rank(field, visible)
    assert any(np.array_equal(imputed, start(field, visible)) for start in (interpolate, mean_over_time))


@pytest.mark.parametrize("method", [low_rank, hold, mean_over_time, interpolate])
def test_nothing_visible_is_refused(method: Any) -> None:
    with pytest.raises(ValueError, match="no entry is visible"):
        method(np.ones((4, 2, 3), np.complex64), np.zeros((4, 2, 3), bool))


def test_one_visible_entry_is_everywhere() -> None:
    field = np.arange(24.0).reshape(4, 2, 3).astype(np.complex64)
    visible = np.zeros(field.shape, bool)
    visible[1, 0, 2] = True
    for method in (low_rank, hold, mean_over_time):
        np.testing.assert_array_equal(method(field, visible), np.full(field.shape, field[1, 0, 2]))


def test_holding_takes_the_nearest_time_and_the_earlier_of_two() -> None:
    column = np.array([0, 1, 0, 3, 0, 0, 6, 0], np.complex64).reshape(-1, 1, 1)
    visible = column.real > 0
    assert hold(column, visible).ravel().real.tolist() == [1, 1, 1, 3, 3, 6, 6, 6]
    np.testing.assert_allclose(mean_over_time(column, visible).ravel()[:4], [10 / 3, 1, 10 / 3, 3], rtol=1e-6)
    beside = np.concatenate([column, np.zeros_like(column), column + 2], axis=2)
    imputed = hold(beside, np.concatenate([visible, visible & False, visible], axis=2))
    np.testing.assert_allclose(
        imputed[:, 0, 1], imputed[:, 0, ::2].mean(axis=1), err_msg="an unseen column: between two"
    )


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
