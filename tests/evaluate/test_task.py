"""Blocks of dependent test samples."""

from __future__ import annotations

import numpy as np

from foundation.evaluate.task import blocks


def test_blocks_are_recordings_of_one_class_and_stretches_of_a_drive() -> None:
    from helpers.signals import make_signal

    signals = [make_signal(0).with_(session=name) for name in "aabbb" for _ in range(5)]
    truth = np.tile([0, 0, 0, 1, 1], 5)
    np.testing.assert_array_equal(blocks(signals, truth)[:10], [0, 0, 0, 1, 1] * 2)
    assert blocks(signals, truth)[10:].min() == 2
    found = blocks(signals, np.zeros((25, 2)))
    np.testing.assert_array_equal(found[:10], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    assert len(np.unique(found)) == 3 + 4
