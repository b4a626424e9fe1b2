"""Results of one fine-tuned model: chance, confusion, per-class scores, and their page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foundation.data.labelled import Target
from foundation.errors import ReadError
from foundation.evaluate.report.classes import class_table
from foundation.evaluate.report.quickstart_page import finding
from foundation.evaluate.report.task_page import print_task, sentence, write_task_page
from foundation.evaluate.task_result import TaskResult, load_results, save_results
from foundation.results.rows import Row

TRUTH, PREDICTED = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])


@pytest.fixture
def found() -> TaskResult:
    target = Target("activity", ("sit", "<walk>", "run"), 3)
    return TaskResult.of(target, np.array([1, 1, 0]), TRUTH, PREDICTED)


def test_chance_is_the_most_frequent_training_class_on_the_test_part(found: TaskResult) -> None:
    assert found.scores == {"accuracy": pytest.approx(4 / 6)}
    assert found.chance == {"accuracy": pytest.approx(2 / 6)}
    assert "66.7 on 6 test samples" in sentence("test", found)
    assert sentence("test", found).endswith("33.3.")


def test_chance_of_numbers_is_the_median_of_the_training_labels() -> None:
    training = np.array([[0.0, 0.0], [1.0, 2.0], [9.0, 2.0]], np.float32)
    truth = np.array([[1.0, 2.0], [4.0, 6.0]], np.float32)
    found = TaskResult.of(Target("position", None, 2), training, truth, truth + np.float32(1))
    assert found.chance["mean_error_m"] == pytest.approx(2.5)
    assert found.scores["mean_error_m"] == pytest.approx(np.sqrt(2))


def test_confusion_and_scores_by_class(found: TaskResult) -> None:
    assert found.confusion.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    table = class_table(found, "test")
    assert table.body == (
        ("sit", "3", "67", "67", "67"),
        ("<walk>", "2", "67", "100", "80"),
        ("run", "1", "-", "0", "0"),
    )
    assert table.best == {(1, 4)}


def test_results_are_read_back_and_the_page_is_escaped(found: TaskResult, tmp_path: Path, capsys) -> None:
    save_results(tmp_path / "r.json", {"test": found})
    again = load_results(tmp_path / "r.json")["test"]
    assert (again.label, again.classes, again.chance) == (found.label, found.classes, found.chance)
    np.testing.assert_array_equal(again.confusion, found.confusion)
    (tmp_path / "bad.json").write_text("{}x")
    with pytest.raises(ReadError, match="not a file of predictions"):
        load_results(tmp_path / "bad.json")
    write_task_page(tmp_path / "page.html", "own", {"test": again}, {"shards": "a&b"})
    text = (tmp_path / "page.html").read_text()
    assert "&lt;walk&gt;" in text
    assert "<walk>" not in text
    assert "a&amp;b" in text
    assert text.count("data:image/png") == 1
    print_task({"test": again})
    assert "confusion matrix" in capsys.readouterr().out


def _row(mode: str, mean: float, half: float, seeds: int = 3) -> Row:
    names = {"set": "simulated", "split": "room", "method": "m", "metric": "accuracy", "command": "", "n": 9}
    return Row(mode=mode, fraction=0.1, mean=mean, low=mean - half, high=mean + half, seeds=seeds, **names)


@pytest.mark.parametrize(
    ("lora", "scratch", "said"),
    [
        (_row("lora", 0.6, 0.05), _row("scratch", 0.4, 0.05), "(the 95 % intervals lie apart)"),
        (_row("lora", 0.5, 0.05), _row("scratch", 0.45, 0.05), "overlap"),
        (_row("lora", 0.3, 0.05), _row("scratch", 0.5, 0.05), "from scratch is better"),
        (_row("lora", 0.5, 0.0, 1), _row("scratch", 0.3, 0.0, 1), "no interval"),
    ],
)
def test_the_finding_says_what_the_intervals_allow(lora: Row, scratch: Row, said: str) -> None:
    text = finding([lora, scratch], 0.143)
    assert said in text
    assert "chance is 14 %" in text
