"""Summary statistics of the samples of a shard directory, accumulated while they are written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from foundation.data.shards.spec import TaskType
from foundation.errors import ShardError
from foundation.signal import Label, Signal

Count = Annotated[int, Field(ge=0, le=2**53, strict=True)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
Range = tuple[_Number, _Number]


class Summary(BaseModel):
    """Counts and ranges over samples.

    Attributes:
        kinds: kind -> samples. shapes: 'TxLxR' (times, links, responses) -> samples.
        carrier_hz, bandwidth_hz, interval_s: (smallest, largest); 0 means not known, or a single snapshot.
        clean: samples whose noise-free truth is stored.
        labels: classification task -> class -> samples.
        ranges: regression task -> (smallest, largest) of each component.
        parts: split -> part -> samples.
    """

    model_config = ConfigDict(extra="forbid")

    kinds: dict[str, Count] = {}
    shapes: dict[str, Count] = {}
    carrier_hz: Range | None = None
    bandwidth_hz: Range | None = None
    interval_s: Range | None = None
    clean: Count = 0
    labels: dict[str, dict[str, Count]] = {}
    ranges: dict[str, list[Range]] = {}
    parts: dict[str, dict[str, Count]] = {}

    def add(self, signal: Signal, tasks: Mapping[str, TaskType], where: str) -> None:
        """Count one sample.

        Args:
            where: data set and key, named in errors.

        Raises:
            ShardError: a label is not among the tasks, of the wrong type for its task, or not finite.
        """
        _count(self.kinds, signal.kind)
        _count(self.shapes, "x".join(str(n) for n in signal.values.shape))
        self.carrier_hz = _join(self.carrier_hz, (signal.carrier_hz, signal.carrier_hz))
        self.bandwidth_hz = _join(self.bandwidth_hz, (signal.bandwidth_hz, signal.bandwidth_hz))
        self.interval_s = _join(self.interval_s, (signal.interval_s, signal.interval_s))
        self.clean += signal.clean is not None
        for task, label in signal.labels.items():
            self._add_label(task, label, tasks, where)

    def merge(self, later: Summary, where: str) -> None:
        """Add the counts and ranges of another summary.

        Args:
            where: its first sample, named in errors.

        Raises:
            ShardError: a label has a different number of components in the two summaries.
        """
        for name, count in later.kinds.items():
            _count(self.kinds, name, count)
        for name, count in later.shapes.items():
            _count(self.shapes, name, count)
        self.carrier_hz = _join(self.carrier_hz, later.carrier_hz)
        self.bandwidth_hz = _join(self.bandwidth_hz, later.bandwidth_hz)
        self.interval_s = _join(self.interval_s, later.interval_s)
        self.clean += later.clean
        for task, counts in later.labels.items():
            for label, count in counts.items():
                _count(self.labels.setdefault(task, {}), label, count)
        for task, ranges in later.ranges.items():
            self._extend_ranges(task, ranges, where)

    def _add_label(self, task: str, label: Label, tasks: Mapping[str, TaskType], where: str) -> None:
        if task not in tasks:
            raise ShardError(
                f"{where}: label {task!r} is not among the data set's tasks ({', '.join(tasks) or 'none'})."
            )
        if tasks[task] == "classification":
            if not isinstance(label, str | int):
                raise ShardError(
                    f"{where}: label {task!r} is {label!r}; a classification task needs a name or an integer; "
                    "write str(...) of it, or 'categorical: true' in a layout."
                )
            _count(self.labels.setdefault(task, {}), str(label))
            return
        if isinstance(label, str):
            raise ShardError(
                f"{where}: label {task!r} is {label!r}; a regression task needs a number or a tuple of them."
            )
        values = label if isinstance(label, tuple) else (float(label),)
        if not all(math.isfinite(value) for value in values):
            raise ShardError(f"{where}: label {task!r} is {label!r}; leave the label out where it is not known.")
        self._extend_ranges(task, [(float(value), float(value)) for value in values], where)

    def _extend_ranges(self, task: str, ranges: list[Range], where: str) -> None:
        known = self.ranges.get(task, ranges)
        if len(known) != len(ranges):
            raise ShardError(
                f"{where}: label {task!r} has {len(ranges)} components; earlier samples have {len(known)}."
            )
        self.ranges[task] = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(known, ranges, strict=True)]


def _count(counter: dict[str, int], name: str, count: int = 1) -> None:
    counter[name] = counter.get(name, 0) + count


def _join(one: Range | None, other: Range | None) -> Range | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
