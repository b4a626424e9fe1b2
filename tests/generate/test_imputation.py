"""Imputation: batches share one generator, visible entries stay, and hidden ones have no influence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.signals import make_signal, tiny_config

from foundation.generate import MASK_KINDS, impute
from foundation.models import WfmForMaskedModeling


@pytest.fixture(scope="module")
def model() -> WfmForMaskedModeling:
    torch.manual_seed(0)
    return WfmForMaskedModeling(tiny_config()).eval()


def test_batches_are_imputed_one_after_the_other(model: WfmForMaskedModeling) -> None:
    signals = [make_signal(seed, times=16 + seed) for seed in range(5)]
    together = impute(model, signals, "random", torch.Generator().manual_seed(0), batch_size=2)
    generator = torch.Generator().manual_seed(0)
    apart = [one for i in range(0, 5, 2) for one in impute(model, signals[i : i + 2], "random", generator)]
    assert [one.signal.session for one in together] == [signal.session for signal in signals]
    for one, two in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one.hidden, two.hidden)
        np.testing.assert_array_equal(one.prediction, two.prediction)
        np.testing.assert_array_equal(one.interpolated, two.interpolated)


@pytest.mark.parametrize("kind", MASK_KINDS)
def test_visible_entries_stay_and_hidden_ones_have_no_influence(model: WfmForMaskedModeling, kind: str) -> None:
    signal = make_signal(0, times=32, links=2, responses=16)
    (one,) = impute(model, [signal], kind, torch.Generator().manual_seed(0))
    assert one.has_both
    assert not (one.hidden & one.visible).any()
    np.testing.assert_array_equal(one.truth, signal.values)
    for made in (one.prediction, one.interpolated):
        np.testing.assert_array_equal(made[one.visible], signal.values[one.visible])
    changed = signal.with_(values=np.where(one.hidden, 1e3 * signal.values, signal.values))
    (two,) = impute(model, [changed], kind, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(one.hidden, two.hidden)
    np.testing.assert_array_equal(one.prediction, two.prediction)


def test_a_single_token_leaves_nothing_to_impute(model: WfmForMaskedModeling) -> None:
    signal = make_signal(0, times=1, links=1, responses=4)
    (one,) = impute(model, [signal], "random", torch.Generator().manual_seed(0))
    assert not one.has_both
