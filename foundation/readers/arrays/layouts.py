"""Layout files: a YAML file that describes the arrays of a dataset, in place of a reader for each dataset.

    about: who published this layout, and where
    keys: {amplitude: CSIamp}              # role -> key in the file
    axes: [rx*response, time]              # meaning of each axis; `*` joins several in one axis, the slowest first
    sizes: {rx: 3, response: 114}
    kind: csi-amplitude
    subcarriers: [[-58, -2], [2, 58]]      # ranges that include both ends, and a step if it is not 1
    spacing_hz: 312500
    interval_s: 0.002

Axes of a `.mat` file are named in the order in which MATLAB lists them, in either version of the format.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from foundation.config.yaml_errors import explain, read_mapping
from foundation.errors import ReadError
from foundation.signal import KINDS

#: In the order of a Signal; `1` is an axis of length 1 without meaning, which may be missing in the file.
AXES = ("sample", "time", "rx", "tx", "link", "response", "part", "1")
_ROLES = ({"complex"}, {"real", "imag"}, {"parts"}, {"amplitude"}, {"amplitude", "phase"})


#: More entries than any axis has.
_MOST = 1 << 24
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """Base of all sections: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Keys(Section):
    """Keys of the arrays that make up the complex values; a pattern such as `H_*` must match exactly one key.

    Give `complex`; or `real` and `imag`; or `parts`, with real and imaginary part along the axis `part`; or
    `amplitude`, with or without `phase` in radians. The array of an `.npy` file has no key: name it `array`. The keys
    of a table (CSV) are its columns, or their numbers from 0 where the first line has no names; a pattern takes all
    that match as one array [rows, columns], `array` all.
    """

    complex: str | None = None
    real: str | None = None
    imag: str | None = None
    parts: str | None = None
    amplitude: str | None = None
    phase: str | None = None

    @model_validator(mode="after")
    def _one_field(self) -> Self:
        if set(self.given) not in _ROLES:
            known = "; ".join(" and ".join(sorted(roles)) for roles in _ROLES)
            raise ValueError(f"expected one of: {known}")
        return self

    @property
    def given(self) -> dict[str, str]:
        """Role -> key, without the roles that are not set."""
        return {role: key for role, key in self if key is not None}


class Source(Section):
    """Numbers stored in the same file or in another one.

    Attributes:
        key: key of the array.
        file: path of the other file, relative to the folder of this one; `{name}` is replaced by the group of that name
            in `Layout.path`. None: the same file.
        scale: factor by which the numbers are multiplied.
        categorical: convert integers to text, so that they are classes; in a table, take the text as it is.
        classes: names of the classes, by number (from 0) or by the index of the 1 in a one-hot row.
    """

    key: str
    file: str | None = None
    scale: Finite = 1.0
    categorical: bool = False
    classes: list[str] = []


class Layout(Section):
    """The layout of one kind of file; a number is given here or, as a `Source`, read from a file.

    Attributes:
        about: who published the layout, and where.
        keys: keys of the arrays.
        axes: meaning of each axis, names of `AXES`; `*` joins several in one axis, the slowest first.
        sizes: length of an axis, needed for all but one of those joined by `*`.
        unit: unit of amplitudes; decibels are 20 log10 of the amplitude.
        scale: factor by which linear values are multiplied.
        kind: kind of the signals, such as "csi".
        domain: whether the response axis is frequency or delay.
        carrier_hz: carrier frequency; 0 means unknown.
        bandwidth_hz: bandwidth; 0 means unknown. Without `spacing_hz` it is divided evenly among the responses.
        spacing_hz: subcarrier spacing, for the frequency domain.
        subcarriers: indices from the carrier as ranges [first, last] or [first, last, step]; None: evenly about it.
        step_s: delay from tap to tap in seconds, for the delay domain.
        interval_s: seconds between times.
        path: regular expression for the end of the file's path. Its groups `session`, `subject` and `environment` set
            these fields of the Signal, other groups become labels, those that begin with `_` only serve `Source`.
        labels: name -> source of a label per sample.
        device: name of the receiver.
        licence: licence of the dataset.
    """

    about: str
    keys: Keys
    axes: list[str] = Field(min_length=1)
    sizes: dict[str, Annotated[int, Field(ge=1, le=_MOST)]] = {}
    unit: Literal["linear", "decibel"] = "linear"
    scale: Finite = 1.0
    kind: str
    domain: Literal["frequency", "delay"] = "frequency"
    carrier_hz: Positive | Source = 0.0
    bandwidth_hz: Positive | Source = 0.0
    spacing_hz: Finite | Source | None = None
    subcarriers: list[list[int]] | None = None
    step_s: Positive | Source | None = None
    interval_s: Positive | Source | None = None
    path: str | None = None
    labels: dict[str, Source] = {}
    device: str = ""
    licence: str = ""

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"expected one of {', '.join(KINDS)}")
        return kind

    @field_validator("path")
    @classmethod
    def _is_pattern(cls, path: str | None) -> str | None:
        try:
            re.compile(path or "")
        except re.error as error:
            raise ValueError(f"expected a regular expression ({error})") from None
        return path

    @field_validator("subcarriers")
    @classmethod
    def _ranges(cls, ranges: list[list[int]] | None) -> list[list[int]] | None:
        for r in ranges or []:
            if len(r) not in (2, 3) or r[1] < r[0] or any(step < 1 for step in r[2:]) or max(map(abs, r)) > _MOST:
                raise ValueError("expected ranges [first, last] or [first, last, step], upward")
        return ranges

    @model_validator(mode="after")
    def _axes_agree(self) -> Self:
        names = [name for axis in self.axes for name in axis.split("*")]
        for name in [*names, *self.sizes]:
            if name not in AXES:
                raise ValueError(f"axis {name!r}; expected one of {', '.join(AXES)}, or several joined by '*'")
        unique = [name for name in names if name != "1"]
        if len(unique) != len(set(unique)):
            raise ValueError(f"axes {self.axes} name one axis twice")
        if "sample" in names and "sample" not in self.axes:
            raise ValueError("the axis 'sample' cannot be joined to another by '*'")
        if "link" in names and {"tx", "rx"} & set(names):
            raise ValueError("axes name 'link' beside 'tx' or 'rx'; expected either")
        if ("part" in names) != (self.keys.parts is not None):
            raise ValueError("the axis 'part' goes with keys.parts, and only with it")
        return self

    def present(self, count: int) -> list[str]:
        """The axes of an array of `count` dimensions: the axes named '1' may all be missing."""
        return self.axes if count == len(self.axes) else [axis for axis in self.axes if axis != "1"]

    def dimensions(self, shape: tuple[int, ...], where: str) -> list[tuple[str, int]]:
        """(axis, length) of an array of this shape, with axes joined by '*' split.

        Raises:
            ReadError: the shape does not match `axes` and `sizes`.
        """
        axes = self.present(len(shape))
        if len(shape) != len(axes):
            raise ReadError(self._misfit(shape, where, f"{len(self.axes)} axes"))
        found: list[tuple[str, int]] = []
        for axis, length in zip(axes, shape, strict=True):
            names = axis.split("*")
            sizes = {name: self.sizes.get(name, 2 if name == "part" else 1 if name == "1" else None) for name in names}
            open_names = [name for name in names if sizes[name] is None]
            known = math.prod(size for size in sizes.values() if size is not None)
            if len(open_names) > 1:
                raise ReadError(self._misfit(shape, where, f"sizes of all but one of {', '.join(open_names)}"))
            if length < 1 or (length % known if open_names else length != known):
                raise ReadError(
                    self._misfit(shape, where, f"{axis} of length {f'n * {known}' if open_names else known}")
                )
            found += [(name, sizes[name] or length // known) for name in names if name != "1"]
        return found

    def _misfit(self, shape: tuple[int, ...], where: str, expected: str) -> str:
        axes = ", ".join(axis + (f" ({self.sizes[axis]})" if axis in self.sizes else "") for axis in self.axes)
        return f"{where}: has shape {shape}; expected {expected} in [{axes}]: correct the layout's axes or sizes."


def load_layout(path: Path, **changes: Any) -> Layout:
    """Read a layout file; `changes` override its keys, such as `carrier_hz=3.5e9` for some of the files.

    Raises:
        ReadError: no such file, not YAML, an unknown key (names the nearest), a missing key or a wrong value.
    """
    raw = read_mapping(path, ReadError, "no such layout; shards/layouts/ holds examples to copy.")
    try:
        return Layout.model_validate(raw | changes)
    except ValidationError as error:
        raise ReadError(explain(path, error, Layout)) from None
