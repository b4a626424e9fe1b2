"""Result rows: one measured value with its 95 % interval and the command that reproduces it, stored as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy.special import stdtrit

from foundation.errors import ReadError
from foundation.files import exclusive, write_atomically
from foundation.json_file import load_json

Key = tuple[str, str, str, str, float, str]

#: Suffixes of modes that also use unlabelled test recordings; such rows are shown in separate tables.
DOMAIN = "+domain"  # of an encoder with a domain adapter
WITH_TARGET_DATA = ("+coral", "+self-training", DOMAIN)


class Row(BaseModel):
    """A figure with its 95 % interval over seeds.

    Attributes:
        set, split: data set and test part, such as "stability-csi-har" and "D2".
        method: what was compared, such as "wfm-small" or "svm on invariant features".
        mode: how it was adapted, such as "probe" or "lora"; "" where that does not apply.
        fraction: share of the training labels that was used, in (0, 1].
        metric: a name of `foundation.results.tables.METRICS`, or any other.
        mean, low, high: the mean over seeds and its interval, in the metric's own unit (shares, not percent).
        seeds: how many runs the mean is over. With 1 there is no interval: low = mean = high.
        n: number of test samples.
        command: the command line that reproduces the row.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    set: str = Field(min_length=1)
    split: str
    method: str = Field(min_length=1)
    mode: str
    fraction: float = Field(gt=0, le=1)
    metric: str = Field(min_length=1)
    mean: float
    low: float
    high: float
    seeds: int = Field(ge=1)
    n: int = Field(ge=1)
    command: str

    @model_validator(mode="after")
    def _ordered(self) -> Row:
        if not self.low <= self.mean <= self.high:
            raise ValueError(f"low {self.low}, mean {self.mean}, high {self.high} are not in order")
        return self

    @property
    def has_target_data(self) -> bool:
        """Whether the unlabelled test recordings were used."""
        return self.mode.endswith(WITH_TARGET_DATA)

    @property
    def key(self) -> Key:
        """What the row measures; a file holds each key once."""
        return (self.set, self.split, self.method, self.mode, self.fraction, self.metric)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and the 95 % confidence interval of the mean by Student's t, one value per seed: (mean, low, high).

    With one value the three are equal: one run has no spread.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.all(np.isfinite(array)):
        raise ValueError(f"interval needs at least one value, all finite; got {list(values)}")
    mean = float(array.mean())
    if len(array) == 1:
        return mean, mean, mean
    half = float(stdtrit(len(array) - 1, 0.975) * array.std(ddof=1) / np.sqrt(len(array)))
    return mean, mean - half, mean + half


def summarise(
    values: Sequence[float],
    *,
    set: str,
    split: str,
    method: str,
    mode: str,
    fraction: float,
    metric: str,
    n: int,
    command: str,
) -> Row:
    """The row of one value per seed; see `Row` for the other arguments and `interval` for the figures.

    The interval of an accuracy is clipped to [0, 1].
    """
    mean, low, high = interval(values)
    if metric == "accuracy":
        low, high = max(low, 0.0), min(high, 1.0)
    return Row(
        set=set,
        split=split,
        method=method,
        mode=mode,
        fraction=fraction,
        metric=metric,
        mean=mean,
        low=low,
        high=high,
        seeds=len(values),
        n=n,
        command=command,
    )


def merge_rows(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """Both, sorted by key; a new row replaces the old one of the same key."""
    merged = {row.key: row for row in old}
    merged.update({row.key: row for row in new})
    return [merged[key] for key in sorted(merged)]


def rewriting(path: Path) -> AbstractContextManager[None]:
    """Hold the right to write a file of rows from before it is read until it is replaced: several commands may do so at
    once, and each takes less than a second.

    Raises:
        WfmError: another process has held it for a minute.
    """
    return exclusive(path, wait_s=60)


def save_rows(path: Path, rows: Iterable[Row], beside: Mapping[str, object] | None = None) -> None:
    """Replace `path` by these rows: sorted, one a line, six significant digits, for small diffs.

    The file is complete or untouched. Nothing is merged: see `merge_rows`.

    Args:
        beside: further fields of the file, such as paired tests; the rows are then under "rows".

    Raises:
        ValueError: two rows have the same key.
    """
    ordered = sorted(rows, key=lambda row: row.key)
    for first, second in pairwise(ordered):
        if first.key == second.key:
            raise ValueError(f"two rows measure the same: {first.key}")
    lines = []
    for row in ordered:
        fields = row.model_dump()
        fields.update({name: float(f"{fields[name]:.6g}") for name in ("fraction", "mean", "low", "high")})
        lines.append(json.dumps(fields, ensure_ascii=False))
    text = "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"
    if beside is not None:
        more = "".join(f",\n{json.dumps(name)}: {json.dumps(value, indent=1)}" for name, value in beside.items())
        text = f'{{"rows": {text}{more}}}'
    write_atomically(path, text + "\n")


def load_rows(path: Path) -> list[Row]:
    """The rows of a file that `save_rows` wrote.

    Raises:
        ReadError: the file is missing, is not a JSON list of rows, or one of its rows is wrong; names the row.
    """
    try:
        raw = load_json(path, finite=False)
    except FileNotFoundError:
        raise ReadError(f"{path}: no such file of rows; run the evaluation that writes it.") from None
    except (ValueError, OSError) as error:
        raise ReadError(
            f"{path}: not a JSON file of rows ({error}); run the evaluation that writes it again."
        ) from None
    if isinstance(raw, dict):
        raw = raw.get("rows", raw)
    if not isinstance(raw, list):
        raise ReadError(f"{path}: holds a {type(raw).__name__}; expected a JSON list of rows.")
    rows = []
    for index, fields in enumerate(raw):
        try:
            rows.append(Row.model_validate(fields))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ReadError(
                f"{path}: row {index}{', ' + where if where else ''}: {first['msg']}; mend the row."
            ) from None
    return rows
