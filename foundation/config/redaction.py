"""Remove credentials from the addresses of a recipe before it is published."""

from __future__ import annotations

import re
from typing import Any

LEFT_OUT = "(left out)"
_USER = re.compile(r"(?<=://)\S+@")  # to the last @: a password may hold one, and slashes
_QUERY = re.compile(r"(?<=\S)([?#;])\S+")


def published(value: Any) -> Any:
    """A plain value in which no address has a user, password, query, fragment or parameter (signed links carry their
    keys there), nor a command after `pipe:`."""
    if isinstance(value, dict):
        return {key: published(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [published(each) for each in value]
    return _address(value) if isinstance(value, str) else value


def _address(text: str) -> str:
    before, pipe, _ = text.partition("pipe:")
    if pipe:  # also in an override, key=pipe:...
        return f"{before}pipe:{LEFT_OUT}"
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\g<1>{LEFT_OUT}", _USER.sub(f"{LEFT_OUT}@", text))
