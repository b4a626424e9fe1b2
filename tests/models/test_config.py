"""The configuration: sizes and views that follow from its fields."""

from __future__ import annotations

from helpers.signals import tiny_config

import foundation
from foundation.data.tokens import tokenize


def test_the_configuration_counts_entries_of_the_largest_patch() -> None:
    assert tiny_config(patch_shapes=[[8, 4], [1, 100]]).entries == 200
    assert tiny_config(views={"csi": "sanitized"}).views["rssi"] == "field", "other kinds keep their view"
    assert foundation.tokenize is tokenize
