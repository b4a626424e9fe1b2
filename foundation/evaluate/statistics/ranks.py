"""Average ranks over tasks, and how far they must be apart (Demsar 2006, JMLR 7:1-30)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import f as f_distribution
from scipy.stats import rankdata, studentized_range

LEVEL = 0.05


@dataclass(frozen=True)
class Ranking:
    """Contenders over the tasks that all of them were run on.

    Attributes:
        names: by average rank, the best first.
        ranks: [tasks, names], 1 for the best; ties share.
        p: of the Friedman test in the form of Iman and Davenport, that all are alike; None for fewer than 2 tasks or
            3 contenders.
        critical: average ranks that differ by less cannot be told apart (Nemenyi, 5 %); None as for `p`.
    """

    names: tuple[str, ...]
    tasks: tuple[str, ...]
    ranks: np.ndarray
    p: float | None
    critical: float | None

    @property
    def average(self) -> np.ndarray:
        """[names]"""
        return np.asarray(self.ranks.mean(axis=0))

    def alike(self) -> list[tuple[int, int]]:
        """First and last place of every longest run of names that cannot be told apart."""
        if self.critical is None:
            return []
        runs: list[tuple[int, int]] = []
        for i, rank in enumerate(self.average):
            last = int(np.flatnonzero(self.average <= rank + self.critical)[-1])
            if last > i and (not runs or last > runs[-1][1]):
                runs.append((i, last))
        return runs


def ranking(scores: Mapping[str, Mapping[str, float]], more_is_better: Mapping[str, bool]) -> Ranking | None:
    """Rank the contenders that every task has; None where fewer than two are left.

    Args:
        scores: task -> contender -> score.
        more_is_better: of each task.
    """
    tasks = tuple(scores)
    names = [name for name in next(iter(scores.values()), {}) if all(name in found for found in scores.values())]
    if len(names) < 2:
        return None
    signed = np.array([[(-1 if more_is_better[t] else 1) * scores[t][name] for name in names] for t in tasks])
    ranks = np.stack([rankdata(row) for row in signed])
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    enough = len(tasks) > 1 and len(names) > 2
    return Ranking(
        tuple(names[i] for i in order),
        tasks,
        ranks[:, order],
        _friedman(ranks) if enough else None,
        _critical(len(names), len(tasks)) if enough else None,
    )


def _friedman(ranks: np.ndarray) -> float:
    """P of Iman and Davenport's F, which is less conservative than Friedman's chi-square; ties are corrected for."""
    count, k = ranks.shape
    spread = float((ranks**2).sum()) - count * k * (k + 1) ** 2 / 4  # 0: everything is tied
    if spread == 0:
        return 1.0
    chi = (k - 1) * float(((ranks.sum(0) - count * (k + 1) / 2) ** 2).sum()) / spread
    rest = count * (k - 1) - chi
    if rest <= 1e-9:  # all tasks agree
        return 0.0
    return float(f_distribution.sf((count - 1) * chi / rest, k - 1, (k - 1) * (count - 1)))


def _critical(k: int, count: int) -> float:
    return float(studentized_range.ppf(1 - LEVEL, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * count)))
