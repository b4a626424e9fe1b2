"""Labels of real data sets: integers that name classes, entries of arrays, missing where not known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.config import TaskSection
from foundation.data.labelled import Target
from foundation.data.shards.spec import Dataset
from foundation.data.shards.write import write_shards
from foundation.errors import RecipeError
from foundation.evaluate.task import Problem
from foundation.signal import decode, encode


def _problem(folder: Path, train: Sequence[Any], test: Sequence[Any]) -> Problem:
    """The task `which`, written as shards with these labels and read back."""
    labels = {"train": train, "test": test}
    samples = [
        (f"{number}-{index}", make_signal(index, session=part, labels={} if label is None else {"which": label}))
        for number, part in enumerate(labels)
        for index, label in enumerate(labels[part])
    ]
    dataset = Dataset(
        name="mine",
        title="A set of one's own",
        licence="CC0",
        citation="nobody",
        homepage="https://example.org",
        tasks={"which": "classification"},
        pieces=[partial(iter, samples)],
        splits=lambda: {"main": {"train": ["train"], "test": ["test"]}},
    )
    write_shards(dataset, folder)
    return Problem.load(TaskSection(shards=folder, label="which", split="main"), "main")


def test_integers_that_are_declared_classes_are_classes(tmp_path: Path) -> None:
    problem = _problem(tmp_path, [2, 0, None, 2], [0, 2])
    assert problem.kind == "classification"
    assert problem.target.classes == ("0", "2")
    np.testing.assert_array_equal(problem.target.encode(problem.tests["test"]), [0, 1])


def test_names_and_numbers_may_be_classes_together(tmp_path: Path) -> None:
    assert _problem(tmp_path, [1, "sit down"], ["sit down"]).target.classes == ("1", "sit down")


def test_one_class_cannot_be_learnt_and_an_unknown_one_not_be_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="all 2 training samples are of one class of 'which', 'walk'"):
        _problem(tmp_path / "one", ["walk", "walk"], ["walk"])
    problem = _problem(tmp_path / "new", ["walk", "sit"], ["fall"])
    with pytest.raises(RecipeError, match=r"test classes 'fall' of 'which' .* trains on every class"):
        problem.target.encode(problem.tests["test"])


def test_a_number_that_is_none_is_named() -> None:
    signals = [make_signal(labels={"x": value}, session=f"take-{value}") for value in (1.0, float("nan"))]
    with pytest.raises(RecipeError, match="'x' is not finite in session 'take-nan'"):
        Target.of(signals, "x").encode(signals)


def test_labels_may_be_entries_and_rows_of_arrays() -> None:
    table = np.array([[1.5, 2.5]], np.float32)
    given = {"row": table[0], "entry": table[0, 1], "pair": tuple(table[0]), "count": np.int64(3), "name": np.str_("a")}
    signal = make_signal(labels=given)
    assert signal.labels == {"row": (1.5, 2.5), "entry": 2.5, "pair": (1.5, 2.5), "count": 3, "name": "a"}
    assert decode(encode(signal)).labels == signal.labels


def _joint(folder: Path, label: str) -> Problem:
    """Buildings and floors, written as shards and read back with this label."""
    samples = []
    for number, part in enumerate(("train", "test")):
        for index, (building, floor) in enumerate([("a", 0), ("a", 1), ("b", 0), ("b", None)]):
            own = {"building": building, "position": (4.8e6 + index, 0.25)} | (
                {} if floor is None else {"floor": floor}
            )
            samples.append((f"{number}-{index}", make_signal(index, session=part, labels=own)))
    dataset = Dataset(
        name="halls",
        title="A set of one's own",
        licence="CC0",
        citation="nobody",
        homepage="https://example.org",
        tasks={"building": "classification", "floor": "classification", "position": "regression"},
        pieces=[partial(iter, samples)],
        splits=lambda: {"main": {"train": ["train"], "test": ["test"]}},
    )
    if not folder.exists():
        write_shards(dataset, folder)
    return Problem.load(TaskSection(shards=folder, label=label, split="main"), "main")


def test_labels_that_are_classes_can_be_joined(tmp_path: Path) -> None:
    problem = _joint(tmp_path / "shards", "building+floor")
    assert problem.target.classes == ("building a, floor 0", "building a, floor 1", "building b, floor 0")
    np.testing.assert_array_equal(problem.target.encode(problem.tests["test"]), [0, 1, 2])
    with pytest.raises(RecipeError, match="'building\\+position' joins classes, and the shards declare 'position' as"):
        _joint(tmp_path / "shards", "building+position")


def test_coordinates_of_millions_of_metres_are_exact(tmp_path: Path) -> None:
    problem = _joint(tmp_path / "shards", "position")
    assert problem.target.encode(problem.train)[1].tolist() == [4.8e6 + 1, 0.25]


def test_a_misspelt_label_names_the_nearest_that_the_shards_have(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no sample of halls carries 'bilding'; did you mean 'building'"):
        _joint(tmp_path / "shards", "bilding")
    with pytest.raises(RecipeError, match="no sample of halls carries 'flor'; did you mean 'floor'"):
        _joint(tmp_path / "shards", "building+flor")
