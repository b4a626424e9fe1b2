"""Packets by their setup: groups by kind, their warning and their label."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from foundation.readers.wifi.grouping import by_kind, transmitter_label


def test_groups_come_by_size_and_without_the_packets_of_no_kind() -> None:
    with pytest.warns(
        UserWarning, match="a: the packets differ in colour; they are returned as 2 signals of 3, 2 packets"
    ):
        groups = by_kind(["red", "blue", None, "blue", "red", "blue"], "colour", Path("a"))
    assert {kind: packets.tolist() for kind, packets in groups.items()} == {"blue": [1, 3, 5], "red": [0, 4]}
    assert list(groups) == ["blue", "red"]


def test_one_setup_needs_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(by_kind([1, 1], "kind", Path("a"))) == 1


def test_the_transmitter_is_a_label_where_there_are_several_signals() -> None:
    assert transmitter_label("02:00", [1, 2]) == {"transmitter": "02:00"}
    assert transmitter_label("02:00", [1]) == transmitter_label("", [1, 2]) == {}
