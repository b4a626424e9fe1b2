"""Parse reader options from the command line, `name=value`, into the types of the reader's signature."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from foundation.errors import ReadError
from foundation.readers import HEADERLESS, READERS, reader_of


def parse_options(format: str, texts: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments for `foundation.readers.read`, which rejects unknown options itself.

    Raises:
        ReadError: a text is not of the form `name=value`, a value is of the wrong type, or a required option of the
            format is missing.
    """
    if format not in READERS and format not in HEADERLESS:
        return {}
    reader = reader_of(format).read
    types = typing.get_type_hints(reader)
    found: dict[str, Any] = {}
    for text in texts:
        name, given, value = text.partition("=")
        if not given:
            raise ReadError(f"{text!r} is not an option; expected NAME=VALUE, such as carrier_hz=5.18e9.")
        try:
            found[name] = TypeAdapter(types.get(name, str)).validate_python(value)
        except ValidationError as error:
            wanted = getattr(types[name], "__name__", str(types[name]).removesuffix(" | None"))
            raise ReadError(f"option {name} is {value!r}; expected {wanted}.") from error
    needed = [name for name, p in list(inspect.signature(reader).parameters.items())[1:] if p.default is p.empty]
    lacking = [name for name in needed if name not in found]
    if lacking:
        raise ReadError(
            f"format {format} needs {' and '.join(f'{name}=' for name in lacking)}; see wfm inspect --help."
        )
    return found
