"""Labels of samples by name, and joint labels: `building+floor` is the class "building 1, floor 3"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from foundation.data.shards.manifest import Manifest, nearest
from foundation.data.shards.spec import TaskType
from foundation.errors import RecipeError
from foundation.signal import Label, Signal

JOINT = "+"


def label_of(signal: Signal, label: str) -> Label | None:
    """The value of a label; None if the sample does not carry it, or lacks a part of a joint label.

    Raises:
        RecipeError: a part of a joint label is a number with a fraction, or several numbers.
    """
    if label in signal.labels or JOINT not in label:
        return signal.labels.get(label)
    parts = {name: signal.labels.get(name) for name in label.split(JOINT)}
    if None in parts.values():
        return None
    for name, value in parts.items():
        if not isinstance(value, str | int):
            raise RecipeError(
                f"task.label: {label!r} joins classes, and {name!r} is {value!r} in session {signal.session!r}; name "
                "labels that are classes."
            )
    return ", ".join(f"{name} {value}" for name, value in parts.items())


def labelled(signals: Iterable[Signal], label: str) -> list[Signal]:
    """Those that carry the label."""
    return [signal for signal in signals if label_of(signal, label) is not None]


def task_type(label: str, tasks: Mapping[str, TaskType]) -> TaskType | None:
    """The type that the shards declare for a label; joint labels are classes. None: not declared.

    Raises:
        RecipeError: a part of a joint label is declared as numbers.
    """
    if label in tasks or JOINT not in label:
        return tasks.get(label)
    for name in label.split(JOINT):
        if tasks.get(name) == "regression":
            raise RecipeError(
                f"task.label: {label!r} joins classes, and the shards declare {name!r} as numbers; name labels that "
                "are classes."
            )
    return "classification"


def refuse_unknown_label(manifest: Manifest, label: str) -> None:
    """Refuse a label that no sample of the shards carries, before any is read.

    Raises:
        RecipeError: names the nearest of those that the shards have.
    """
    known = {*manifest.summary.labels, *manifest.summary.ranges}
    for name in [label] if label in known else label.split(JOINT):
        if name not in known:
            raise RecipeError(f"task.label: no sample of {manifest.name} carries {name!r}; {nearest(name, known)}")
