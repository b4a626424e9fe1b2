"""Conjugate product and ratio of two receive antennas: what cancels, what is valid, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.clocks import random_clock, reflector, two_antennas
from helpers.compare import error
from helpers.signals import make_signal
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import SignalError
from foundation.signal import Link
from foundation.transforms.antennas import conjugate_product, conjugate_ratio


def test_the_product_and_the_ratio_cancel_the_clock() -> None:
    signal = two_antennas(reflector(1.0))
    clocked = random_clock(signal, 5)
    own, reference = signal.values[:, 1:], signal.values[:, :1]
    ratio = conjugate_ratio(clocked)
    assert ratio.links == (signal.links[1],)
    assert error(ratio.values, own / reference) < 1e-4
    product = conjugate_product(clocked)
    assert np.max(np.abs(np.angle(product.values * np.conj(own * np.conj(reference))))) < 1e-4
    assert error(conjugate_product(signal, 1).values, reference * np.conj(own)) < 1e-5


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0, 0.9))
def test_a_pair_is_valid_where_both_are(seed: int, share: float) -> None:
    valid = np.random.default_rng(seed).random((32, 2, 16)) >= share
    valid[0] = True
    signal = make_signal(seed, valid=valid)
    both = valid[:, 1:] & valid[:, :1]
    np.testing.assert_array_equal(conjugate_product(signal).mask, both)
    ratio = conjugate_ratio(signal)
    assert not (ratio.mask & ~both).any()
    assert (both & ~ratio.mask).sum() <= 3, "only deep fades of the reference"
    assert np.isfinite(ratio.values).all()


def test_a_fade_of_the_reference_has_no_ratio() -> None:
    signal = make_signal()
    values = signal.values.copy()
    values[3, 0, 4] = 1e-6
    ratio = conjugate_ratio(signal.with_(values=values))
    assert not ratio.mask[3, 0, 4]
    assert np.max(np.abs(ratio.values)) < 1e3


def test_every_transmit_antenna_has_its_own_reference() -> None:
    links = (Link(0, 0), Link(1, 0), Link(0, 1), Link(1, 1))
    signal = make_signal(links=4).with_(links=links)
    product = conjugate_product(signal)
    assert product.links == links[2:]
    assert error(product.values[:, 1], signal.values[:, 3] * np.conj(signal.values[:, 1])) < 1e-5
    with pytest.raises(SignalError, match="antenna 7"):
        conjugate_product(signal, 7)
    with pytest.raises(SignalError, match="transmit antenna 0"):
        conjugate_product(make_signal(links=1))
    with pytest.raises(SignalError, match="is real"):
        conjugate_ratio(make_signal(values=np.ones((32, 2, 16)), is_real=True))
