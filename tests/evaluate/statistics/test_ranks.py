"""Average ranks, Friedman test and Nemenyi critical difference against scipy and published values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import f, friedmanchisquare

from foundation.evaluate.report import rank_plot
from foundation.evaluate.statistics.ranks import Ranking, ranking


def _ranked(table: np.ndarray, **changes: bool) -> Ranking:
    scores = {f"t{i}": {f"m{j}": float(x) for j, x in enumerate(row)} for i, row in enumerate(table)}
    found = ranking(scores, {name: changes.get(name, True) for name in scores})
    assert found is not None
    return found


def test_ranks_agree_with_scipy_and_the_critical_difference_with_demsar() -> None:
    table = np.round(np.random.default_rng(1).random((14, 4)) + 0.3 * np.arange(4), 1)  # with ties
    found = _ranked(table)
    chi = friedmanchisquare(*table.T).statistic
    assert found.p == pytest.approx(f.sf(13 * chi / (14 * 3 - chi), 3, 39))
    assert found.critical == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), rel=1e-3)  # his table 5
    assert list(found.average) == sorted(found.average)
    assert found.names[0] == "m3"


def test_ranks_follow_the_direction_of_a_task_and_what_all_tasks_have() -> None:
    scores = {"accuracy": {"a": 0.9, "b": 0.5, "c": 0.1}, "metres": {"a": 1.0, "b": 2.0}}
    found = ranking(scores, {"accuracy": True, "metres": False})
    assert found is not None
    assert (found.names, list(found.average)) == (("a", "b"), [1.0, 2.0])
    assert found.p is None
    assert found.critical is None
    assert ranking({"x": {"a": 1.0}, "y": {"b": 1.0}}, {"x": True, "y": True}) is None


def test_the_diagram_joins_exactly_what_cannot_be_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(rank_plot, "to_png", lambda figure: figures.append(figure) or b"")
    ranks = np.tile(np.array([1.0, 2.0, 4.0, 3.0]), (12, 1))
    shown = Ranking(("a", "b", "c", "d"), tuple("t" * 12), ranks[:, [0, 1, 3, 2]], 0.0, 1.5)
    rank_plot.critical_difference(shown)
    (axes,) = figures[0].axes
    bars = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 4]
    assert [(round(low), round(high)) for low, high in bars] == [(1, 2), (2, 3), (3, 4)]
    texts = [text.get_text().strip() for text in axes.texts]
    assert {"a  1.00", "b  2.00", "3.00  c", "4.00  d", "critical difference 1.50"} <= set(texts)
