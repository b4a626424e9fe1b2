"""Redaction: addresses as they may be printed and written, without credentials.

It is applied at every door: `WfmError` to its message, `Address` to whatever a recipe is dumped into (recipes, logs,
checkpoints, reports), and the few places that print an address themselves.
"""

from __future__ import annotations

import re
from typing import Any

LEFT_OUT = "(left out)"
#: A URL; one slash is what `pathlib` leaves of two.
_URL = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]*://|(?:https?|s3|gs|ftp):/)(\S+)")
_USER = re.compile(r"^\S+@")  # to the last @: a password may hold one, and slashes
_QUERY = re.compile(r"(?<=\S)([?#;])(?!\(left)\S+")


def published(value: Any) -> Any:
    """A plain value (dict, list, text, number) in which every URL has lost user, password, query, fragment and
    parameters: signed links carry their keys there."""
    if isinstance(value, dict):
        return {published(key): published(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [published(each) for each in value]
    return _URL.sub(_without_keys, value) if isinstance(value, str) and ":/" in value else value


def _without_keys(url: re.Match[str]) -> str:
    return url[1] + _QUERY.sub(rf"\g<1>{LEFT_OUT}", _USER.sub(f"{LEFT_OUT}@", url[2]))


def printable(text: str) -> str:
    """`text` with every character escaped that a terminal would act upon, but for line breaks."""
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
