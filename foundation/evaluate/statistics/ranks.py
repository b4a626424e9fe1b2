"""Average ranks over tasks, Friedman test and Nemenyi critical difference (Demsar 2006, JMLR 7:1-30)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import f as f_distribution
from scipy.stats import friedmanchisquare, rankdata, studentized_range

LEVEL = 0.05


@dataclass(frozen=True)
class Ranking:
    """Ranks of the methods that all tasks have.

    Attributes:
        names: methods by average rank, the best first.
        ranks: float64 [tasks, names], 1 for the best; ties share the mean rank.
        p: p-value of the Friedman test with the correction of Iman and Davenport (1980); None for fewer than 2 tasks
            or 3 methods.
        critical: Nemenyi critical difference of average ranks at the 5 % level; None as for `p`.
    """

    names: tuple[str, ...]
    tasks: tuple[str, ...]
    ranks: np.ndarray
    p: float | None
    critical: float | None

    @property
    def average(self) -> np.ndarray:
        """Average ranks, float64 [names]."""
        return np.asarray(self.ranks.mean(axis=0))

    def alike(self) -> list[tuple[int, int]]:
        """First and last index of every maximal group of names within the critical difference."""
        if self.critical is None:
            return []
        runs: list[tuple[int, int]] = []
        for i, rank in enumerate(self.average):
            last = int(np.flatnonzero(self.average <= rank + self.critical)[-1])
            if last > i and (not runs or last > runs[-1][1]):
                runs.append((i, last))
        return runs


def ranking(scores: Mapping[str, Mapping[str, float]], more_is_better: Mapping[str, bool]) -> Ranking | None:
    """Rank the methods that every task has; None if there are fewer than two.

    Args:
        scores: task -> method -> score.
        more_is_better: task -> whether a higher score is better.
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
    """P-value of Iman and Davenport's F statistic, which is less conservative than Friedman's chi-square."""
    count, k = ranks.shape
    if np.ptp(ranks, axis=1).max() == 0:  # everything is tied
        return 1.0
    chi = float(friedmanchisquare(*ranks.T).statistic)  # corrects for ties
    rest = count * (k - 1) - chi
    if rest <= 1e-9:  # all tasks have the same ranks
        return 0.0
    return float(f_distribution.sf((count - 1) * chi / rest, k - 1, (k - 1) * (count - 1)))


def _critical(k: int, count: int) -> float:
    """Nemenyi critical difference of k methods over `count` tasks.

    scikit-posthocs offers p-values only, no critical difference, and would add 156 MB (pandas, statsmodels).
    """
    return float(studentized_range.ppf(1 - LEVEL, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * count)))
