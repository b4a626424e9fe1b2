"""What a reader must know first: another environment, and the default that decides much."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.config import EvaluateRecipe, TaskSection, TuneSection
from foundation.data import labelled
from foundation.data.labelled import TokenSet
from foundation.data.shards.spec import Dataset
from foundation.data.shards.write import write_shards
from foundation.evaluate.jobs import jobs_of
from foundation.evaluate.notes import augment_note, environment_note
from foundation.models.config import WfmConfig


@pytest.fixture
def task(tmp_path: Path) -> TaskSection:
    """Two people in each of two rooms; `room` leaves a room out, `person` a person, `nowhere` has no names of rooms."""
    samples = [
        (f"{room}-{person}-{k}", make_signal(k, session=f"{room}-{person}", environment=room.strip("-")))
        for room in ("-", "home", "lab")
        for person in ("ann", "bob")
        for k in range(2)
    ]
    rooms = {"train": ["lab-ann", "lab-bob"], "test": ["home-ann", "home-bob"]}
    people = {"train": ["lab-ann", "home-ann"], "test": ["lab-bob", "home-bob"]}
    dataset = Dataset(
        name="rooms",
        title="Rooms",
        licence="CC0",
        citation="nobody",
        homepage="https://example.org",
        tasks={"activity": "classification"},
        pieces=[partial(iter, samples)],
        splits=lambda: {"room": rooms, "person": people, "nowhere": {"train": ["--ann"], "test": ["--bob"]}},
    )
    write_shards(dataset, tmp_path / "shards")
    return TaskSection(shards=tmp_path / "shards", label="activity", split="room")


def test_another_environment_is_said_and_the_same_is_not(task: TaskSection) -> None:
    assert "TESTED IN ANOTHER: training saw lab, the test is in home." in environment_note(task, ["room"])
    assert environment_note(task, ["person"]) == ""
    assert environment_note(task, ["nowhere"]) == ""


def test_heads_without_augmentation_are_said(task: TaskSection) -> None:
    assert "tune.augment is 0" in augment_note(task, TuneSection(), ["probe"])
    assert augment_note(task, TuneSection(), ["baseline", "knn"]) == ""
    assert augment_note(task, TuneSection(augment=0.15), ["probe"]) == ""


@pytest.mark.parametrize(
    ("align", "modes"),
    [
        ("none", ["probe", "knn"]),
        ("coral", ["probe", "probe+coral", "knn", "knn+coral"]),
        (["coral", "self-training"], ["probe", "probe+coral", "probe+self-training", "knn", "knn+coral"]),
    ],
)
def test_several_alignments_stand_in_one_evaluation(task: TaskSection, align: object, modes: list[str]) -> None:
    fields = {"name": "x", "set": "y", "checkpoint": "wfm-small", "task": task, "modes": ["probe", "knn"]}
    recipe = EvaluateRecipe.model_validate(fields | {"align": align, "fractions": [1.0], "seeds": [0]})
    assert [job.mode for job in jobs_of(recipe)] == modes
    assert EvaluateRecipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_tokens_that_are_not_kept_are_those_that_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    signals, rows = [make_signal(k) for k in range(5)], np.array([4, 0, 3])
    kept = TokenSet(signals, WfmConfig()).batch(rows)
    monkeypatch.setattr(labelled, "KEPT_BYTES", 1)
    made = TokenSet(signals, WfmConfig()).batch(rows)
    names = kept.keys() - {"radio", "facts", "fields"}
    assert all(kept[name].equal(made[name]) for name in names)
    assert kept["fields"].values.equal(made["fields"].values)
    monkeypatch.setattr(labelled, "MOST_TOKENS", 4 * kept["exists"].shape[1] // 2)
    parts = list(TokenSet(signals, WfmConfig()).pieces(rows))
    assert len(parts) == 3
    assert sum(len(part["exists"]) for part in parts) == 3
