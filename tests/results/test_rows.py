"""Metrics, rows of results and the tables made from them; and that the committed documents show the committed rows."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from foundation.errors import ReadError
from foundation.evaluate.statistics import metrics
from foundation.results.rows import Row, interval, load_rows, merge_rows, save_rows, summarise
from foundation.results.tables import markdown, pivot
from foundation.results.terminal import print_pivot


def row(mean: float = 0.5, **changes: object) -> Row:
    fields: dict[str, object] = {
        "set": "set-a",
        "split": "D1",
        "method": "small",
        "mode": "probe",
        "fraction": 1.0,
        "metric": "accuracy",
        "n": 100,
        "command": "wfm evaluate",
        "low": mean - 0.02,
        "high": mean + 0.02,
        "seeds": 3,
    }
    return Row.model_validate(fields | {"mean": mean} | changes)


def test_interval_is_students_t_over_seeds() -> None:
    mean, low, high = interval([1.0, 2.0, 3.0])
    # t(0.975, 2 degrees of freedom) = 4.302653; s = 1
    assert mean == 2
    assert high - mean == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert mean - low == pytest.approx(high - mean)
    assert interval([0.25]) == (0.25, 0.25, 0.25)
    for wrong in ([], [0.5, float("nan")]):
        with pytest.raises(ValueError, match="at least one value, all finite"):
            interval(wrong)


def test_summarise_counts_seeds_and_keeps_what_it_is_told() -> None:
    names = {"set": "a", "split": "b", "method": "c", "mode": "d", "metric": "accuracy", "command": "wfm"}
    made = summarise([0.5, 0.7], fraction=0.1, n=40, **names)
    assert (made.seeds, made.n, made.fraction, made.mean) == (2, 40, 0.1, pytest.approx(0.6))
    assert made.key == ("a", "b", "c", "d", 0.1, "accuracy")
    assert made.low < 0.5 < 0.7 < made.high


def test_rows_round_trip_sorted_one_a_line_and_stable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.json"
    rows = [row(0.7, split="D2"), row(1 / 3, fraction=0.1), row(0.5)]
    save_rows(path, rows)
    text = path.read_text()
    assert text.count("\n") == 5
    assert [entry["split"] for entry in json.loads(text)] == ["D1", "D1", "D2"]
    assert '"mean": 0.333333,' in text
    loaded = load_rows(path)
    assert [entry.key for entry in loaded] == sorted(entry.key for entry in rows)
    save_rows(path, reversed(loaded))
    assert path.read_text() == text
    assert [entry.name for entry in path.parent.iterdir()] == ["rows.json"]
    with pytest.raises(ValueError, match="two rows measure the same"):
        save_rows(path, [row(0.1), row(0.2)])
    assert path.read_text() == text


def test_merge_replaces_the_same_key_and_nothing_else() -> None:
    merged = merge_rows([row(0.1), row(0.2, mode="lora")], [row(0.9, n=7), row(0.3, split="D2")])
    assert [(entry.split, entry.mode, entry.mean, entry.n) for entry in merged] == [
        ("D1", "lora", 0.2, 100),
        ("D1", "probe", 0.9, 7),
        ("D2", "probe", 0.3, 100),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a JSON file of rows"),
        ("{}", "holds a dict; expected a JSON list"),
        ('[{"set": "a"}]', "row 0, split: Field required"),
        (json.dumps([row().model_dump() | {"sede": 1}]), "row 0, sede: Extra inputs"),
        (json.dumps([row().model_dump(), row().model_dump() | {"low": 0.9}]), "row 1: .*not in order"),
    ],
)
def test_a_damaged_file_of_rows_is_named_with_its_row(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(ReadError, match=f"rows.json: .*{said}"):
        load_rows(path)
    with pytest.raises(ReadError, match="no such file of rows"):
        load_rows(tmp_path / "other.json")


def test_pivot_puts_test_parts_in_columns_or_else_fractions() -> None:
    parts = [row(0.5), row(0.7, split="D2"), row(0.6, method="svm", mode="", seeds=1, low=0.6, high=0.6)]
    (table,) = pivot(parts)
    assert table.header == ("method", "mode", "D1", "D2")
    assert table.body == (
        ("small", "probe", "50.0 [48.0, 52.0]", "70.0 [68.0, 72.0]"),
        ("svm", "-", "60.0", ""),
    )
    assert table.best == {(1, 2)}
    assert table.title == (
        "set-a, 100 % of the labels: accuracy, %, mean [95 % interval] over 1 to 3 seeds, 100 test samples"
    )
    by_fraction = pivot([row(0.4, fraction=0.01), row(0.5), row(0.6, fraction=0.1), row(0.3, split="D2")])
    assert [table.header[2:] for table in by_fraction] == [("1 %", "10 %", "100 %"), ("100 %",)]


def test_the_best_of_an_error_is_the_smallest_and_text_is_escaped() -> None:
    rows = [row(1.5, metric="mean_error_m", method="a|b"), row(0.5, metric="mean_error_m", method="[red]c_d")]
    text = markdown(rows)
    assert "**0.50 [0.48, 0.52]**" in text
    assert "| a\\|b | probe | 1.50 [1.48, 1.52] |" in text
    console = Console(width=200, record=True, file=io.StringIO())
    for table in pivot(rows):
        print_pivot(table, console)
    assert "[red]c_d" in console.export_text()


def test_sample_distances_see_a_wrong_profile_and_a_wrong_memory() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((64, 41, 8))
    smooth = (noise[:, 1:] + noise[:, :-1]) / np.sqrt(2)
    profile = np.linspace(1, 2, 8)
    held_out = profile * (5 + smooth)
    assert metrics.sample_distances(held_out, held_out) == {
        "power_profile_db": 0.0,
        "autocorrelation": 0.0,
        "power_spread_db": 0.0,
    }
    forgetful = metrics.sample_distances(held_out, profile * (5 + noise[:, 1:]))
    assert forgetful["power_profile_db"] < 0.1
    # Lag 1 is 0.5 in the one and 0 in the other; the other 19 lags are 0 in both.
    assert forgetful["autocorrelation"] == pytest.approx(0.5 / np.sqrt(20), abs=0.02)
    flat = metrics.sample_distances(held_out, 5 + smooth)
    expected = 10 * np.log10(profile**2 / np.mean(profile**2))
    assert flat["power_profile_db"] == pytest.approx(np.sqrt(np.mean(expected**2)), rel=0.01)
    with pytest.raises(ValueError, match="differ after the first axis"):
        metrics.sample_distances(held_out, held_out[:, 1:])


def test_scores_follow_the_kind_of_the_targets() -> None:
    truth, predicted = np.array(["a", "a", "b", "b", "b"]), np.array(["a", "b", "b", "b", "c"])
    assert metrics.scores(truth, predicted, "activity") == {"accuracy": pytest.approx(0.6)}
    with pytest.raises(ValueError, match="one shape"):
        metrics.scores(truth, predicted[:3], "activity")
    at, errors = np.zeros((3, 2)), np.array([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])
    assert metrics.scores(at, errors, "position") == {"mean_error_m": 2.0, "median_error_m": 1.0}
    assert metrics.scores(at, errors, "velocity") == {"mean_error": 2.0, "median_error": 1.0}, "not in metres"
    joints = np.array([[0.1, -0.1, 0.3, 0.3]])
    assert metrics.scores(np.zeros((1, 4)), joints, "pose")["mean_error"] == pytest.approx(0.2), "absolute, per number"
