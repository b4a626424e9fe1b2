"""Redaction: addresses as they may be published, without credentials."""

from __future__ import annotations

import re
from typing import Any

LEFT_OUT = "(left out)"
_USER = re.compile(r"(?<=://)\S+@")  # to the last @: a password may hold one, and slashes
_QUERY = re.compile(r"(?<=\S)([?#;])\S+")


def published(value: Any) -> Any:
    """A plain value (dict, list, text, number) in which every URL has lost user, password, query, fragment and
    parameters: signed links carry their keys there."""
    if isinstance(value, dict):
        return {key: published(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [published(each) for each in value]
    if not isinstance(value, str) or "://" not in value:
        return value
    return _QUERY.sub(rf"\g<1>{LEFT_OUT}", _USER.sub(f"{LEFT_OUT}@", value))
