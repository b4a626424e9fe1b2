"""What a recipe's corpus means to the stream."""

from __future__ import annotations

from foundation.data.stream import Part
from foundation.recipe import CorpusSection


def part_of(source: CorpusSection) -> Part:
    return Part(source.shards, source.split, source.part, source.weight, source.kinds, source.sessions, source.samples)
