"""The statistics head: which outputs have a target, and the error on these."""

from __future__ import annotations

import pytest
import torch
from helpers.signals import tiny_config

from foundation.models.statistics_head import ROWS, StatisticsHead, Summaries
from foundation.nn.statistics import STATISTICS

CONFIG = tiny_config()


def test_the_error_is_taken_slot_by_slot() -> None:
    """It is 0 for the truth itself, in one batch of tokens of all patch shapes."""
    statistics_head = StatisticsHead(CONFIG)
    values, gain = torch.randn(6, CONFIG.entries), torch.randn(6)
    shape = torch.tensor([0, 1, 2, 0, 1, 2])
    observed = torch.rand(6, CONFIG.entries) < 0.8
    statistics_head.forward = lambda summary: summary.unflatten(1, (len(ROWS), -1))  # type: ignore[method-assign]
    width = max(statistics_head.widths)
    truth = torch.zeros(6, len(ROWS), width)
    for row, (which, each) in enumerate(zip(shape.tolist(), values, strict=True)):
        wide = statistics_head.widths[which]
        for statistic in range(min(len(STATISTICS), len(each) // wide)):
            truth[row, statistic, :wide] = each[statistic * wide : (statistic + 1) * wide]
        truth[row, 4, : wide - 2] = truth[row, 0, 2:wide] - truth[row, 0, : wide - 2]
        truth[row, 5, 0] = gain[row]

    def error(rows: torch.Tensor) -> float:
        parts = [(which, (shape == which).nonzero().squeeze(1)) for which in range(3)]
        tensors = rows.flatten(1), values, gain, observed
        return float(statistics_head.error(Summaries(which, *(each[own] for each in tensors)) for which, own in parts))

    assert error(truth) == 0
    wrong = truth.clone()
    wrong[0, 0, 0] += 1
    known = [statistics_head.known(observed[row : row + 1], int(which)) for row, which in enumerate(shape)]
    assert error(wrong) == pytest.approx(bool(known[0][0, 0, 0]) / float(torch.cat(known).sum()))
