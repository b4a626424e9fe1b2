"""Folds over training samples: what is left out is the coarsest that the samples have three of."""

from __future__ import annotations

import numpy as np
import pytest

from foundation.adapt import held_out_folds
from foundation.data.origins import Origin

CLASSES = np.tile(np.arange(3), 24)


def origin(rooms: int, people: int, devices: int, sessions: int) -> list[Origin]:
    """Of 72 samples, in turn after every three, so that all share the classes."""
    turn = np.arange(72) // 3
    counts = (rooms, people, devices, sessions)
    return [Origin(*(f"{name}{each % count}" for name, count in zip("rpds", counts, strict=True))) for each in turn]


@pytest.mark.parametrize(
    ("counts", "held_out", "field"),
    [
        ((4, 6, 3, 12), "room", "environment"),
        ((2, 6, 3, 12), "person", "subject"),
        ((1, 1, 3, 12), "device", "device"),
        ((1, 2, 2, 12), "session", "session"),
    ],
)
def test_the_coarsest_domain_with_three_values_is_left_out(
    counts: tuple[int, int, int, int], held_out: str, field: str
) -> None:
    known = origin(*counts)
    rows, word = held_out_folds(CLASSES, known, seed=0)
    assert word == held_out
    assert len(rows) >= 3
    for train, test in rows:
        assert not {getattr(known[i], field) for i in train} & {getattr(known[i], field) for i in test}


def test_people_who_are_the_classes_are_not_left_out() -> None:
    known = [Origin("", f"p{each}", "", f"s{k // 6}") for k, each in enumerate(CLASSES)]
    rows, word = held_out_folds(CLASSES, known, seed=0)
    assert word == "session"
    assert rows


def test_two_sessions_are_held_out_in_stretches_and_of_one_label_nothing_is() -> None:
    rows, word = held_out_folds(CLASSES, origin(1, 1, 1, 2), seed=0)
    assert word == "stretch of every session"
    assert sorted(np.concatenate([test for _, test in rows])) == list(range(72))
    assert not held_out_folds(CLASSES[:1], origin(1, 1, 1, 1)[:1], seed=0).rows
