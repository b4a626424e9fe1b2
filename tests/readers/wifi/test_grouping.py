"""Packets by their setup: groups by kind, the most frequent setup, and the warnings of both."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from foundation.readers.wifi.grouping import by_kind, most_frequent


def test_groups_come_by_size_and_without_the_packets_of_no_kind() -> None:
    with pytest.warns(
        UserWarning, match="a: the packets differ in colour; they are returned as 2 signals of 3, 2 packets"
    ):
        groups = by_kind(["red", "blue", None, "blue", "red", "blue"], "colour", Path("a"))
    assert {kind: packets.tolist() for kind, packets in groups.items()} == {"blue": [1, 3, 5], "red": [0, 4]}
    assert list(groups) == ["blue", "red"]


@pytest.mark.parametrize(("rx", "tx", "kept"), [([3, 2, 2, 3, 1], [1, 1, 1, 1, 1], [0, 3]), ([1, 1], [2, 1], [0])])
def test_of_equally_frequent_setups_the_first_is_kept(rx: list[int], tx: list[int], kept: list[int]) -> None:
    columns = [np.array(rx, np.uint8), np.array(tx, np.uint8)]
    with pytest.warns(UserWarning, match=rf"dropped .* \({rx[0]} rx, {tx[0]} tx\), the first at packet 1"):
        packets, setup = most_frequent(columns, "antennas", "{} rx, {} tx", Path("a"))
    assert (packets.tolist(), setup) == (kept, (rx[0], tx[0]))


def test_setups_of_large_numbers_are_told_apart() -> None:
    columns = [np.array([1, 2, 2], ">u2"), np.array([60_000, 1, 1], ">u2")]
    with pytest.warns(UserWarning, match="dropped 1 of 3 packets"):
        packets, setup = most_frequent(columns, "both", "{} {}", Path("a"))
    assert (packets.tolist(), setup) == ([1, 2], (2, 1))


def test_one_setup_needs_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        packets, setup = most_frequent([np.array([0, 0])], "antennas", "{} rx", Path("a"))
        assert len(by_kind([1, 1], "kind", Path("a"))) == 1
    assert (packets.tolist(), setup) == ([0, 1], (0,))
